"""Fill the generated parts of the documentation: `python -m report.pages`.

    <!-- configuration -->                           every key and option of config.ini
    <!-- results recipes/results/NAME.csv METRIC --> the table of a committed results.csv
    <!-- runs recipes/results/NAME.csv METRIC ROLE --> the table of several runs
    <!-- matrix recipes/results/NAME.csv -->         the tables of a committed matrix
    <!-- study recipes/results/NAME.csv ... -->      the table of a study: its comparisons.csv, its
                                                     study.csv, or both
    <!-- losses -->                                  every loss, what it takes and its source
    <!-- benchmarks -->                              the newest rows of benchmarks/results/

Each part ends with <!-- end -->. The picture at the head of README.md, that of the matrix and that
of each study, recipes/results/NAME.svg, are plotted from the same results. No figure of these parts
is typed in by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from report.comparison import runs_markdown
from report.configuration import configuration
from report.loss_table import loss_table
from report.matrix import matrix_markdown, matrix_picture, matrix_results
from report.overview import overview
from report.study_markdown import study_markdown
from report.study_picture import read, study_picture
from report.table import markdown

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "recipes/results/overview.svg"
MATRIX = ROOT / "recipes/results/cmkd_esc10.csv"  # and its picture, .svg
PAGES = (
    "README.md",
    "docs/configuration.md",
    "docs/losses.md",
    "docs/performance.md",
    "docs/quickstart.md",
    "docs/reproduce.md",
    "recipes/README.md",
)
KINDS = "configuration|results|runs|benchmarks|matrix|study|losses"
PART = re.compile(rf"(<!-- ({KINDS})([^\n]*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """The page with its generated parts up to date."""
    return PART.sub(lambda found: f"{found[1]}\n{part(found[2], found[3])}\n\n{found[4]}", text)


def part(kind: str, arguments: str) -> str:
    if kind == "configuration":
        return configuration()
    if kind == "losses":
        return loss_table()
    if kind == "benchmarks":
        return benchmarks_table()
    if kind == "matrix":
        return matrix_markdown(matrix_results(pd.read_csv(ROOT / arguments.strip())))
    if kind == "study":
        return study_markdown(*study_tables(arguments))
    path, metric, *role = arguments.split()
    if kind == "runs":
        return runs_markdown(pd.read_csv(ROOT / path), metric, *role)
    return markdown(pd.read_csv(ROOT / path), metric)


def study_tables(arguments: str) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """study.csv and comparisons.csv, those that are named."""
    tables = [read(ROOT / name) for name in arguments.split()]
    found = {"reference" in table: table for table in tables}
    return found.get(False), found.get(True)


def study_pictures(text: str) -> dict[Path, str]:
    """Of the studies of a page: beside the first CSV of each, where there is something to draw."""
    found = {}
    for kind, arguments in (match.group(2, 3) for match in PART.finditer(text)):
        if kind == "study" and (drawn := study_picture(*study_tables(arguments))):
            found[(ROOT / arguments.split()[0]).with_suffix(".svg")] = drawn
    return found


def benchmarks_table() -> str:
    """One table of all benchmarks, then one for each benchmark that compares models."""
    rows = ["| benchmark | figure | value | machine |", "| --- | --- | ---: | --- |"]
    by_model = []
    for path in sorted((ROOT / "benchmarks/results").glob("*.csv")):
        results = pd.read_csv(path)
        if "model" in results:
            by_model.append(models_table(path.stem, results))
            continue
        newest = results.iloc[-1].drop("date")
        first = [path.stem, newest.pop("hardware")]
        for name, value in newest.items():
            rows.append(f"| {first[0]} | {name} | {shown(value)} | {first[1]} |")
            first = ["", ""]
    return "\n\n".join(["\n".join(rows), *by_model])


def models_table(benchmark: str, results: pd.DataFrame) -> str:
    """The newest row of each model."""
    newest = results.groupby("model").last().drop(columns="date")
    machine = newest.pop("hardware").iloc[-1]
    head = f"| {benchmark} | " + " | ".join(newest.columns) + " |"
    lines = [
        f"| {model} | " + " | ".join(shown(value) for value in row) + " |"
        for model, *row in newest.itertuples()
    ]
    ruler = "| --- |" + " ---: |" * len(newest.columns)
    return "\n".join([f"{benchmark}, on {machine}:", "", head, ruler, *lines])


def shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    PICTURE.write_text(overview(), encoding="utf-8")
    matrix = matrix_picture(matrix_results(pd.read_csv(MATRIX)))
    MATRIX.with_suffix(".svg").write_text(matrix, encoding="utf-8")
    for page in PAGES:
        path = ROOT / page
        text = filled(path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        for place, drawn in study_pictures(text).items():
            place.write_text(drawn, encoding="utf-8")
