"""Who teaches whom best: the gains of a matrix of teachers and students, as a table and a picture.

Source: Gong et al., CMKD, arXiv:2203.06760, figure 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from data.replacing import write
from models import family
from report.drawing import MUTED, margin_for, picture, standalone
from report.findings import CHAIN, Finding, findings
from report.run import Run
from report.significance import NAME, signed_rank
from report.table import aligned, as_markdown, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("chain", "model", "metric", "seed", "fold", "value", "parameters", "macs", "epochs")
CELL, BLACK = 118, "#111111"  # px; ink on pale colours, whatever the page's


def write_matrix(folder: Path, runs: Mapping[Sequence[str], Path], variant: str) -> str:
    """results.csv, matrix.csv, findings.csv and matrix.svg in `folder`; gives it for the screen."""
    results = gathered(runs, variant)
    scores = scores_of(results)
    gains = gains_of(scores)
    found = findings(scores, families_of(results))
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "results.csv", results.to_csv(index=False))
    write(folder / "matrix.csv", gains.to_csv(index=False))
    write(folder / "matrix.svg", matrix_picture(results))
    table = pd.DataFrame([{**one._asdict(), "verdict": one.verdict} for one in found])
    write(folder / "findings.csv", table.to_csv(index=False))
    title, rows = gains_rows(results)
    return "\n".join(["", title, aligned(rows), "", aligned(findings_rows(found))])


def matrix_markdown(results: pd.DataFrame) -> str:
    """Both tables, from what write_matrix left as results.csv."""
    title, rows = gains_rows(results)
    found = findings(scores_of(results), families_of(results))
    return f"{title}:\n\n{as_markdown(rows)}\n\n{as_markdown(findings_rows(found))}"


def gathered(runs: Mapping[Sequence[str], Path], variant: str) -> pd.DataFrame:
    """The headline of the last model of each path, a row a seed and fold.

    A path is a model alone, a teacher and its student, or longer.
    """
    found = []
    for path, folder in runs.items():
        rows = Run(folder).headline
        role = rows["role"] == ("student" if len(path) > 1 else "teacher")
        chosen = rows[role & ((rows["variant"] == variant) | (len(path) == 1))]
        found.append(chosen.assign(chain=CHAIN.join(path)))
    return pd.concat(found)[list(COLUMNS)]


def scores_of(results: pd.DataFrame) -> dict[str, pd.Series]:
    """Chain -> its figures by seed and fold."""
    return {
        chain: rows.set_index(["seed", "fold"])["value"]
        for chain, rows in results.groupby("chain", sort=False)
    }


def gains_of(scores: Mapping[str, pd.Series]) -> pd.DataFrame:
    """A row a taught model: its score, that of itself alone and of its teacher, and what it gains.

    Gains are paired by seed and fold; p is of the signed-rank test.
    """
    rows = []
    for chain, taught in scores.items():
        teacher, _, student = chain.rpartition(CHAIN)
        if not teacher:
            continue
        gain = (taught - scores[student]).dropna()
        rows.append(
            {
                "teacher": teacher,
                "student": student,
                "pairs": len(gain),
                "teacher_score": scores[teacher].mean(),
                "alone": scores[student].mean(),
                "taught": taught.mean(),
                "taught_deviation": taught.std(),
                "gain": gain.mean(),
                "gain_deviation": gain.std(),
                "p": signed_rank(gain).p,
            }
        )
    return pd.DataFrame(rows)


def families_of(results: pd.DataFrame) -> dict[str, str]:
    """Model of the matrix -> convolutional or transformer."""
    alone = results[~results["chain"].str.contains(CHAIN)]
    return {name: family(model) for name, model in zip(alone["chain"], alone["model"], strict=True)}


def gains_rows(results: pd.DataFrame) -> tuple[str, list[list[str]]]:
    """What the table is of, and the table: the models alone, then each chain."""
    gains = gains_of(scores_of(results)).set_index(["teacher", "student"])
    rows = [["model", "score", "gain", "p"]]
    for chain, scores in scores_of(results).items():
        teacher, _, student = chain.rpartition(CHAIN)
        row = [chain, spread(scores), "", ""]
        if teacher:
            gain = gains.loc[teacher, student]
            row[2] = f"{gain['gain']:+.4f} ± {gain['gain_deviation']:.4f}"
            row[3] = number(gain["p"])
        rows.append(row)
    pairs = len(next(iter(scores_of(results).values())))
    return (
        f"{results['metric'].iloc[0]}, and the gain of the last over itself alone, paired by seed "
        f"and fold, n = {pairs}; {NAME}",
        rows,
    )


def findings_rows(found: Sequence[Finding]) -> list[list[str]]:
    rows = [["statement", "difference", "p", "verdict"]]
    for one in found:
        difference = f"{one.difference:+.4f} ± {one.deviation:.4f}"
        rows.append([one.statement, difference, number(one.p), one.verdict])
    return rows


def matrix_picture(results: pd.DataFrame) -> str:
    """Teachers down, students across, coloured by gain; a longer chain is a row of its own."""
    gains = gains_of(scores_of(results))
    teachers, students = (
        list(dict.fromkeys(gains["teacher"])),
        list(dict.fromkeys(gains["student"])),
    )
    alone = results.groupby("chain")["value"].mean()
    largest = max(gains["gain"].abs().max(), 1e-9)
    names = [f"{name}  {alone[name]:.3f}" for name in teachers]
    left, bottom = margin_for(names, 40), 46
    height = 30 + bottom + len(teachers) * CELL // 2

    def draw(axes: Axes) -> None:
        import matplotlib

        colours = matplotlib.colormaps["PuOr"]
        for row in gains.itertuples():
            x, y = students.index(row.student), teachers.index(row.teacher)
            shade = colours(0.5 + 0.22 * row.gain / largest)  # pale, so that black stays legible
            axes.add_patch(
                matplotlib.patches.Rectangle((x + 0.02, y + 0.03), 0.96, 0.94, color=shade)
            )
            said = f"{row.gain:+.3f} ± {row.gain_deviation:.3f}\n{row.taught:.3f}"
            said += f", p = {number(row.p)}" if number(row.p) else ""
            axes.text(x + 0.5, y + 0.5, said, ha="center", va="center", color=BLACK, fontsize=10)
        axes.set_xlim(0, len(students))
        axes.set_ylim(len(teachers), 0)
        ticks(axes.set_xticks, [f"{name}  {alone[name]:.3f}" for name in students])
        ticks(axes.set_yticks, names)
        axes.set_xlabel("student, and its score alone; on the left, its teacher", color=MUTED)
        axes.grid(visible=False)

    title = f"gain in {results['metric'].iloc[0]}"
    width = left + 10 + len(students) * CELL
    panel = picture(
        "matrix", draw, title=title, width=width, height=height, left=left, bottom=bottom
    )
    return standalone([panel], height)


def number(p: float) -> str:
    """Nothing where none differs."""
    return "" if math.isnan(p) else f"{p:.2g}"


def ticks(set_ticks: Callable[[list[float], Sequence[str]], None], names: Sequence[str]) -> None:
    set_ticks([place + 0.5 for place in range(len(names))], names)
