"""The scores: the table of the screen with the significance of each gain, and every metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from losses.mix import uses_teacher
from metrics import METRICS
from report.run import Run, System
from report.section import Cell, Section, Table, Text
from report.significance import NAME, in_words, signed_rank
from report.table import gain, paired_gains, spread, table_rows, title, with_unit


def section(runs: Sequence[Run]) -> Section:
    blocks: list[Table | Text] = [headline_table(run, len(runs) > 1) for run in runs]
    blocks += [every_metric(runs), *comparisons(runs), Text(what_significance_says(runs))]
    return Section("Scores", blocks)


def headline_table(run: Run, named: bool) -> Table:
    head, *rows = table_rows(run.results, run.metric)
    shown = []
    for row in rows:
        shown.append([Cell(text) for text in row])
        if row[0].startswith("gain over "):
            system = shown[-2][0].text
            shown.append([Cell(text) for text in significance_row(run, system, head[1:-2])])
    caption = f"{run.metric}, mean ± standard deviation; gains are paired by seed and fold."
    if named:
        caption = f"{run.name}: {title(run.results, run.metric)}."
    return Table(head, shown, caption)


def significance_row(run: Run, system: str, variants: Sequence[str]) -> list[str]:
    """`system` as the table names it: role and model."""
    own = run.headline[run.headline["role"] + " " + run.headline["model"] == system]
    scores = {variant: own[own["variant"] == variant] for variant in variants}
    base = next(v for v in variants if not uses_teacher(v) and len(scores[v]))
    tests = {
        variant: in_words(signed_rank(paired_gains(scores[base], part)))
        for variant, part in scores.items()
        if variant != base and len(part)
    }
    return ["significance", *(tests.get(variant, "") for variant in variants), "", ""]


def every_metric(runs: Sequence[Run]) -> Table:
    several = len(runs) > 1
    names = [name for name in METRICS if (runs[0].results["metric"] == name).any()]
    head = [*(["run"] if several else []), "system", "losses", "n"]
    head += [name + ("" if METRICS[name].higher_is_better else " ↓") for name in names]
    head += ["parameters", "MACs", "weights", "training"]
    rows = [
        [*([Cell(run.name)] if several else []), *system_row(run, system, names)]
        for run in runs
        for system in run.systems
    ]
    caption = (
        "Every system and every metric, mean ± standard deviation over n seeds and folds; lower is "
        "better where an arrow says so. A click on a heading sorts."
    )
    return Table(head, rows, caption, sortable=True)


def system_row(run: Run, system: System, metrics: Sequence[str]) -> list[Cell]:
    own = run.scores(system)
    sizes = own[["parameters", "macs", "weight_bytes", "seconds"]].mean()
    found = [run.scores(system, name)["value"].dropna() for name in metrics]
    return [
        Cell(f"{system.role} {system.model}"),
        Cell(system.variant),
        Cell(str(len(own)), len(own)),
        *(Cell(*figure(values)) for values in found),
        Cell(with_unit(sizes["parameters"]), sizes["parameters"]),
        Cell(with_unit(sizes["macs"]), sizes["macs"]),
        Cell(with_unit(sizes["weight_bytes"]) + "B", sizes["weight_bytes"]),
        Cell(duration(sizes["seconds"]), sizes["seconds"]),
    ]


def figure(values: pd.Series) -> tuple[str, float | None]:
    """As it is shown and as it is sorted; d' of a perfect ranking is infinite."""
    if values.empty:
        return "-", None
    if not np.isfinite(values).all():
        return f"{values.mean():.4f}", float(np.nan_to_num(values.mean()))
    return spread(values), float(values.mean())


def duration(seconds: float) -> str:
    if not np.isfinite(seconds):
        return "-"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


def comparisons(runs: Sequence[Run]) -> list[Table]:
    """What each further run gained over the first: the same system, seed and fold in both."""
    first, *others = runs
    rows = []
    for run in others:
        for system in run.systems:
            alike = (first.headline["role"] == system.role) & (
                first.headline["variant"] == system.variant
            )
            base, own = first.headline[alike], run.scores(system)
            if len(gains := paired_gains(base, own)):
                test = in_words(signed_rank(gains))
                texts = (run.name, f"{system.role} {system.variant}", gain(base, own), test)
                rows.append([Cell(text) for text in texts])
    if not rows:
        return []
    head = ["run", "system", f"{first.metric} gained", "significance"]
    return [Table(head, rows, f"Gained over the same system of {first.name}, paired.")]


def what_significance_says(runs: Sequence[Run]) -> str:
    pairs = max(len(run.scores(system)) for run in runs for system in run.systems)
    text = f"Significance: {NAME}, over pairs of one seed and fold."
    if pairs == 1:
        text += " One pair tells nothing about chance: more seeds could."
    elif pairs < 6:
        text += (
            f" With n = {pairs} it cannot give less than p = {2.0 ** (1 - pairs):.2g}, however "
            "large a gain is: more seeds could show more."
        )
    if any(len(run.folds) > 1 for run in runs):
        text += " Folds share most of their training clips, so their pairs are not independent."
    return text + " The values are not corrected for the number of comparisons."
