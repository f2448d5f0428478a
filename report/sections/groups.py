"""Bars: the score of each class, and of each device, city or whatever else the clips differ in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from config import UserError
from data.clips import COLUMNS
from metrics import METRICS
from report.drawing import INK, colour, margin_for, picture, shortened
from report.run import Judged, Run, System
from report.section import Absent, Picture, Pictures, Section, Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 40  # classes; of more, those that changed most
MOST_GROUPS = 20  # values of an extra: of more, its bars would be of few clips each
Bars = Mapping[System, Mapping[str, np.ndarray]]  # system -> class or device -> a value a training


def section(run: Run) -> Section:
    blocks = [class_bars(run)]
    try:
        blocks += [group_bars(run, *group) for group in groups(run)]
    except UserError as error:
        blocks.append(Text(f"No bars by device: {error}."))
    else:
        if len(blocks) == 1:
            blocks.append(Text("The clips have no device, city or the like to be told apart by."))
    return Section("groups", "By class and by device", blocks)


def class_bars(run: Run) -> Pictures:
    prefix = f"{run.metric} "
    names = [name for name in run.results["metric"].unique() if name.startswith(prefix)]
    if not names:
        raise Absent("results.csv has no figures of single classes")
    found = {
        system: {
            name.removeprefix(prefix): run.scores(system, name)["value"].to_numpy()
            for name in names
        }
        for system in run.compared
    }
    figure = "AUPRC" if run.task == "multi_label" else "accuracy"
    left_out = f" The {MOST_BARS} of {len(names)} that changed most." * (len(names) > MOST_BARS)
    caption = (
        f"{figure} of each class, mean over seeds and folds; lines are a standard deviation up and "
        f"down. From what distillation raised most to what it lowered.{left_out}"
    )
    return Pictures([bars("class", found, figure, changed_most)], caption, run.compared, width=300)


def groups(run: Run) -> Iterator[tuple[str, np.ndarray]]:
    """(extra, its value for each clip of the table), where the reported clips have a few."""
    rows = run.judged(run.compared[0], run.seeds[0]).rows
    for name in run.table.columns:
        if name not in COLUMNS:
            values = run.table.columns[name][:].astype(str)
            if 2 <= len(set(values[rows])) <= MOST_GROUPS:
                yield name, values


def group_bars(run: Run, name: str, values: np.ndarray) -> Pictures:
    found: dict[System, dict[str, list[float]]] = {}
    for system in run.compared:
        of_system = found.setdefault(system, {})
        for seed in run.seeds:
            judged = run.judged(system, seed)
            for value in sorted(set(values[judged.rows]), key=natural):
                score = score_of(run, judged, values[judged.rows] == value)
                of_system.setdefault(value, []).append(score)
    arrays = {
        system: {value: np.array(scores) for value, scores in of_system.items()}
        for system, of_system in found.items()
    }
    seeds = "mean over seeds; lines are a standard deviation up and down" * (len(run.seeds) > 1)
    caption = f"{run.metric} of the clips of each {name}{', ' if seeds else ''}{seeds}."
    return Pictures([bars(name, arrays, run.metric)], caption, run.compared, width=300)


def natural(text: str) -> tuple[int, str]:
    """2 before 10."""
    return (int(text) if text.isdecimal() else -1, text)


def score_of(run: Run, judged: Judged, part: np.ndarray) -> float:
    """NaN where these clips leave the metric undefined."""
    probabilities, targets = judged.probabilities[part], judged.targets[part]
    return METRICS[run.metric].function(probabilities, targets, run.table.classes)


def changed_most(found: Bars) -> list[str]:
    """The names from the highest gain of the last system over the one before it to the lowest."""
    *_, last = found.values()
    base = list(found.values())[-2] if len(found) > 1 else last
    change = {name: np.nan_to_num(last[name].mean() - base[name].mean()) for name in last}
    names = sorted(change, key=change.__getitem__, reverse=True)
    if len(names) <= MOST_BARS:
        return names
    kept = sorted(names, key=lambda name: -abs(change[name]))[:MOST_BARS]
    return [name for name in names if name in kept]


def bars(kind: str, found: Bars, label: str, order=None) -> Picture:
    names = order(found) if order else list(next(iter(found.values())))
    thick = 0.8 / len(found)

    def draw(axes: Axes) -> None:
        for place, (system, values) in enumerate(found.items()):
            means = [values[name].mean() for name in names]
            deviations = [spread_of(values[name]) for name in names]
            heights = np.arange(len(names)) - 0.4 + thick * (place + 0.5)
            axes.barh(heights, means, 0.88 * thick, color=colour(system))
            axes.errorbar(means, heights, xerr=deviations, fmt="none", ecolor=INK, elinewidth=0.7)
        axes.set_yticks(range(len(names)), [shortened(name, 24) for name in names])
        axes.set(xlabel=label, xlim=(0, None), ylim=(len(names) - 0.5, -0.5))
        axes.grid(axis="y", visible=False)

    height = 60 + len(names) * (8 + 9 * len(found))
    left = margin_for(names)
    return picture(f"bars-{kind}", draw, title=f"By {kind}", width=left + 300, height=height, left=left)


def spread_of(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
