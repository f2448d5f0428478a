"""Scores by class, and by device, city or another column of the clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from config import UserError
from metrics import METRICS, UNBOUNDED, name_of_classwise
from report.drawing import INK, colour, margin_for, picture, shortened
from report.run import Predictions, Run, System
from report.section import Absent, Cell, Picture, Pictures, Section, Table, Text
from report.sections.scores import figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_BARS = 40  # classes: those that changed most
Bars = Mapping[
    System, Mapping[str, np.ndarray]
]  # system -> class or device -> one value per training


def section(run: Run) -> Section:
    pictures, note = [class_bars(run)], ""
    try:
        rows = run.predictions(run.compared[0], run.seeds[0]).rows
        pictures += [group_bars(run, *group) for group in run.table.groupings(rows).items()]
    except UserError as error:
        note = f"No bars by device: {error}."
    if len(pictures) == 1:
        note = note or "The clips have no further column, such as device."
    order = ", from the largest gain by distillation to the largest loss" * bool(run.baseline)
    caption = (
        f"Mean {name_of_classwise(run.metric)} of each class over seeds and folds{order}, and "
        f"{run.metric} of the clips of each device or other group; error bars are one standard "
        "deviation."
    )
    blocks: list[Pictures | Text | Table] = [Pictures(pictures, caption, run.compared)]
    blocks += [table for table in (group_table(run),) if table.rows]
    blocks += [Text(note)] * bool(note)
    return Section("By class and by device", blocks)


def class_bars(run: Run) -> Picture:
    prefix = f"{run.metric} "
    names = [name for name in run.results["metric"].unique() if name.startswith(prefix)]
    if not names:
        raise Absent("results.csv has no figures by class")
    found = {
        system: {
            name.removeprefix(prefix): run.scores(system, name)["value"].to_numpy()
            for name in names
        }
        for system in run.compared
    }
    shown = changed_most(run, found)
    of = f", {len(shown)} of {len(names)}" if len(shown) < len(names) else ""
    return bars("class", f"by class{of}", found, shown, name_of_classwise(run.metric))


def group_bars(run: Run, name: str, values: np.ndarray) -> Picture:
    """One value per seed for each group, of all folds together."""
    scores: dict[System, dict[str, list[float]]] = {}
    for system in run.compared:
        for seed in run.seeds:
            predictions = run.predictions(system, seed)
            for value in set(values[predictions.rows]):
                score = score_of(run, predictions, values[predictions.rows] == value)
                scores.setdefault(system, {}).setdefault(value, []).append(score)
    found = {
        system: {value: np.array(of_value) for value, of_value in of_system.items()}
        for system, of_system in scores.items()
    }
    shown = sorted(scores[run.compared[0]], key=natural)
    return bars(name, f"by {name}", found, shown, run.metric)


def group_table(run: Run) -> Table:
    """Number of clips, accuracy and log loss of each scene, device or other group. No rows where
    results.csv has no such figures (tags).
    """
    end = " log_loss"
    found = [name for name in run.results["metric"].unique() if name.endswith(end)]
    groups = [name.removesuffix(end) for name in found]
    head = ["clips of", "clips"]
    for system in run.compared:
        head += [f"{system.label} accuracy", f"{system.label} log_loss ↓"]
    rows = []
    for group in groups:
        counts = run.scores(run.compared[0], f"{group} clips")
        clips = int(counts[counts["seed"] == run.seeds[0]]["value"].sum())  # of all folds
        of_systems = [
            Cell(*figure(run.scores(system, f"{group} {name}")["value"]))
            for system in run.compared
            for name in ("accuracy", "log_loss")
        ]
        rows.append([Cell(group), Cell(str(clips), clips), *of_systems])
    caption = (
        "Number of clips, accuracy and log loss of each scene, device or other group, mean ± "
        "standard deviation over seeds and folds. Click on a heading to sort."
    )
    return Table(head, rows, caption, sortable=True)


def natural(text: str) -> tuple[int, str]:
    """2 before 10."""
    return (int(text) if text.isdecimal() else -1, text)


def score_of(run: Run, predictions: Predictions, part: np.ndarray) -> float:
    """NaN where the metric is undefined on these clips."""
    probabilities, targets = predictions.probabilities[part], predictions.targets[part]
    return METRICS[run.metric].function(probabilities, targets, run.table.classes)


def changed_most(run: Run, found: Bars) -> list[str]:
    """Names by gain of distillation, highest first; in the given order without distillation."""
    if not run.baseline_and_distilled:
        return list(found[run.compared[0]])[:MAX_BARS]
    base, best = (found[system] for system in run.baseline_and_distilled)
    change = {name: mean(best[name]) - mean(base[name]) for name in best}
    kept = sorted(change, key=lambda name: -abs(change[name]))[:MAX_BARS]
    return sorted(kept, key=change.__getitem__, reverse=True)


def bars(kind: str, title: str, found: Bars, names: Sequence[str], label: str) -> Picture:
    thick = 0.8 / len(found)

    def draw(axes: Axes) -> None:
        for place, (system, values) in enumerate(found.items()):
            means = [mean(values[name]) for name in names]
            spreads = [std(values[name]) for name in names]
            heights = np.arange(len(names)) - 0.4 + thick * (place + 0.5)
            axes.barh(heights, means, 0.88 * thick, color=colour(system.look))
            axes.errorbar(means, heights, xerr=spreads, fmt="none", ecolor=INK, elinewidth=0.7)
        axes.set_yticks(range(len(names)), [shortened(name, 22) for name in names])
        axes.set(xlabel=label, xlim=(0, None), ylim=(len(names) - 0.5, -0.5))
        if label not in UNBOUNDED:
            axes.set_xlim(right=min(1.0, axes.get_xlim()[1]))
        axes.grid(axis="y", visible=False)

    return picture(
        f"bars-{kind}",
        draw,
        title=title,
        width=360,
        height=64 + len(names) * (7 + 8 * len(found)),
        left=margin_for(names, 22),
    )


def mean(values: np.ndarray) -> float:
    """Of the defined values; 0, no bar, where there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else 0.0


def std(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.std(ddof=1)) if len(defined) > 1 else 0.0
