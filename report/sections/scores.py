"""The scores: the headline with its interval and the significance of gains, and every metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from config import UserError
from metrics import METRICS
from metrics.bootstrap import (
    LEVEL,
    MAX_WORK,
    RESAMPLES,
    Evaluated,
    Interval,
    intervals,
    one_group,
    sampled,
    work,
)
from report.run import Run, System
from report.section import Cell, Section, Table, Text
from report.significance import NAME, all_in_words, in_words, signed_rank
from report.table import Row, gain, gain_title, paired_gains, spread, system_rows, title, with_unit

SAMPLED = {
    "clips": "test clips",
    "groups": "groups of the test clips (recordings, places or sensors, whose clips are alike)",
}


def section(runs: Sequence[Run]) -> Section:
    blocks: list[Table | Text] = []
    for run in runs:
        blocks += headline(run, len(runs) > 1)
    blocks += [every_metric(runs), *comparisons(runs), Text(about_significance(runs))]
    return Section("Scores", blocks)


def headline(run: Run, named: bool) -> list[Table | Text]:
    """One row per system, and how to read its interval."""
    rows = system_rows(run.results, run.metric, run.config.distillation.variants)
    found, about = bootstrap(run)
    head = ["system", run.metric, f"{LEVEL:.0%} interval", gain_title(rows), "significance"]
    tested = significance(rows)
    cells = [
        [Cell(text) for text in headline_row(row, found, test)]
        for row, test in zip(rows, tested, strict=True)
    ]
    caption = f"{run.measured}, mean ± standard deviation; gains are paired by seed and fold."
    if named:
        caption = f"{run.name}: {title(run.results, run.metric)}."
    return [Table([*head, "parameters", "MACs"], cells, caption), Text(about)]


def significance(rows: Sequence[Row]) -> list[str]:
    """Of each row; those of one baseline, the same role and model, are adjusted together."""
    texts = [""] * len(rows)
    compared: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        if row.base is not None:
            compared.setdefault((row.role, row.model), []).append(place)
    for places in compared.values():
        pairs = [(rows[place].base, rows[place].scores) for place in places]
        tests = [signed_rank(paired_gains(base, own)) for base, own in pairs if base is not None]
        for place, text in zip(places, all_in_words(tests), strict=True):
            texts[place] = text
    return texts


def headline_row(
    row: Row, found: dict[tuple[str, str, str], Interval], significance: str
) -> list[str]:
    interval = found.get((row.role, row.variant, row.model))
    gained = "" if row.base is None else gain(row.base, row.scores)
    return [
        full_name(row),
        spread(row.scores["value"]),
        f"{interval.low:.4f} to {interval.high:.4f}" if interval else "-",
        gained,
        significance,
        *(with_unit(row.scores[column].iloc[0]) for column in ("parameters", "macs")),
    ]


def full_name(system: Row | System) -> str:
    return " ".join(filter(None, (system.role, system.variant, system.model)))


def bootstrap(run: Run) -> tuple[dict[tuple[str, str, str], Interval], str]:
    """The interval of each system by role, variant and model, and a sentence about them."""
    try:
        evaluated = {system: evaluations(run, system) for system in run.systems}
        systems = list(evaluated.values())
        if work(systems) > MAX_WORK:
            return {}, "No intervals: resampling so many predictions would take too long."
        if one_group(systems):
            return {}, "No intervals: the test clips of a fold are all of one group."
        metric, classes = METRICS[run.metric].function, run.table.classes
    except UserError as error:
        return {}, f"No intervals: {error}."
    found = intervals(systems, lambda p, t: metric(p, t, classes))
    within = " within each fold" if len(run.folds) > 1 else ""
    text = (
        f"The {LEVEL:.0%} interval is a percentile bootstrap of the mean score: {RESAMPLES} "
        f"samples of the {SAMPLED[sampled(systems)]}, with replacement{within}, the same for all "
        "systems; it shows what other test clips could change, not what other seeds could."
    )
    keys = [(system.role, system.variant, system.model) for system in evaluated]
    return dict(zip(keys, found, strict=True)), text


def evaluations(run: Run, system: System) -> list[Evaluated]:
    """Of each seed and fold of a system, the clips in the order of the table."""
    found = []
    for seed, fold in run.scores(system)[["seed", "fold"]].itertuples(index=False):
        rows, probabilities, targets = run.predictions(system, seed, [fold])
        order = rows.argsort()
        groups = run.groups(rows[order])
        found.append(Evaluated(fold, probabilities[order], targets[order], groups))
    return found


def every_metric(runs: Sequence[Run]) -> Table:
    several = len(runs) > 1
    names = [name for name in METRICS if (runs[0].results["metric"] == name).any()]
    head = ["system", "n"]
    head += [name + ("" if METRICS[name].higher_is_better else " ↓") for name in names]
    head += ["parameters", "MACs", "weights", "training"]
    rows = [
        system_row(run, system, names, f"{run.name}: " if several else "")
        for run in runs
        for system in run.systems
    ]
    caption = (
        "Every system and every metric, mean ± standard deviation over n seeds and folds; ↓ marks "
        "metrics where lower is better. Click on a heading to sort."
    )
    return Table(head, rows, caption, sortable=True)


def system_row(run: Run, system: System, metrics: Sequence[str], prefix: str) -> list[Cell]:
    own = run.scores(system)
    sizes = own[["parameters", "macs", "weight_bytes", "seconds"]].mean()
    found = [run.scores(system, name)["value"].dropna() for name in metrics]
    return [
        Cell(prefix + full_name(system)),
        Cell(str(len(own)), len(own)),
        *(Cell(*figure(values)) for values in found),
        Cell(with_unit(sizes["parameters"]), sizes["parameters"]),
        Cell(with_unit(sizes["macs"]), sizes["macs"]),
        Cell(with_unit(sizes["weight_bytes"]) + "B", sizes["weight_bytes"]),
        Cell(duration(sizes["seconds"]), sizes["seconds"]),
    ]


def figure(values: pd.Series) -> tuple[str, float | None]:
    """The text of a cell and its sort key; d' of a perfect ranking is infinite."""
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
    """The gain of each further run over the first, paired by system, seed and fold."""
    first, *others = runs
    rows = []
    for run in others:
        for system in run.systems:
            same = (first.headline["role"] == system.role) & (
                first.headline["variant"] == system.variant
            )
            base, own = first.headline[same], run.scores(system)
            if len(gains := paired_gains(base, own)):
                test = in_words(signed_rank(gains))
                texts = (run.name, f"{system.role} {system.variant}", gain(base, own), test)
                rows.append([Cell(text) for text in texts])
    if not rows:
        return []
    head = ["run", "system", f"gain in {first.metric}", "significance"]
    return [
        Table(head, rows, f"Gain over the same system of {first.name}, paired by seed and fold.")
    ]


def about_significance(runs: Sequence[Run]) -> str:
    pairs = max(len(run.scores(system)) for run in runs for system in run.systems)
    text = f"Significance: {NAME}, over pairs of one seed and fold."
    if pairs == 1:
        text += " One pair cannot be tested: use more seeds."
    elif pairs < 6:
        text += (
            f" With n = {pairs}, p is at least {2.0 ** (1 - pairs):.2g}, however large the gain: "
            "use more seeds."
        )
    if any(len(run.folds) > 1 for run in runs):
        text += " Folds share most of their training clips, so their pairs are not independent."
    return text + (
        " Holm: p adjusted for the number of variants that are compared with one baseline; other "
        "p-values are not corrected for the number of comparisons."
    )
