"""The score of each class, and of each device, city or whatever else the clips differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from config import UserError
from metrics import METRICS, name_of_classwise
from report.drawing import INK, colour, margin_for, picture, shortened
from report.run import Judged, Run, System
from report.section import Absent, Cell, Picture, Pictures, Section, Table, Text
from report.sections.scores import figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 40  # classes; of more, those that changed most
Bars = Mapping[System, Mapping[str, np.ndarray]]  # system -> class or device -> a value a training


def section(run: Run) -> Section:
    pictures, said = [class_bars(run)], ""
    try:
        rows = run.judged(run.compared[0], run.seeds[0]).rows
        pictures += [group_bars(run, *group) for group in run.table.groupings(rows).items()]
    except UserError as error:
        said = f"No bars by device: {error}."
    if len(pictures) == 1:
        said = said or "The clips have no device, city or the like to be told apart by."
    order = ", from what distillation raised most to what it to_precision most" * bool(run.baseline)
    caption = (
        f"Mean {name_of_classwise(run.metric)} of each class over seeds and folds{order}, and "
        f"{run.metric} of the clips of each device or the like; lines are a standard deviation up "
        "and down."
    )
    blocks: list[Pictures | Text | Table] = [Pictures(pictures, caption, run.compared)]
    blocks += [table for table in (group_table(run),) if table.rows]
    blocks += [Text(said)] * bool(said)
    return Section("By class and by device", blocks)


def class_bars(run: Run) -> Picture:
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
    shown = changed_most(run, found)
    of = f", {len(shown)} of {len(names)}" if len(shown) < len(names) else ""
    return bars("class", f"by class{of}", found, shown, name_of_classwise(run.metric))


def group_bars(run: Run, name: str, values: np.ndarray) -> Picture:
    """A value a seed of each group, its folds together."""
    scores: dict[System, dict[str, list[float]]] = {}
    for system in run.compared:
        for seed in run.seeds:
            judged = run.judged(system, seed)
            for value in set(values[judged.rows]):
                score = score_of(run, judged, values[judged.rows] == value)
                scores.setdefault(system, {}).setdefault(value, []).append(score)
    found = {
        system: {value: np.array(of_value) for value, of_value in of_system.items()}
        for system, of_system in scores.items()
    }
    shown = sorted(scores[run.compared[0]], key=natural)
    return bars(name, f"by {name}", found, shown, run.metric)


def group_table(run: Run) -> Table:
    """Accuracy and log loss of each scene, device or the like, with how many clips it has. No rows
    where results.csv has no such figures, as that of tags.
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
        "The clips of each scene, device and the like: how many they are, and accuracy and log "
        "loss, mean ± standard deviation over seeds and folds. A click on a heading sorts."
    )
    return Table(head, rows, caption, sortable=True)


def natural(text: str) -> tuple[int, str]:
    """2 before 10."""
    return (int(text) if text.isdecimal() else -1, text)


def score_of(run: Run, judged: Judged, part: np.ndarray) -> float:
    """NaN where these clips leave the metric undefined."""
    probabilities, targets = judged.probabilities[part], judged.targets[part]
    return METRICS[run.metric].function(probabilities, targets, run.table.classes)


def changed_most(run: Run, found: Bars) -> list[str]:
    """The names from the highest gain by distillation to the lowest; as given where none is."""
    if not run.baseline:
        return list(found[run.compared[0]])[:MOST_BARS]
    base, best = found[run.baseline], found[run.best]
    change = {name: mean(best[name]) - mean(base[name]) for name in best}
    kept = sorted(change, key=lambda name: -abs(change[name]))[:MOST_BARS]
    return sorted(kept, key=change.__getitem__, reverse=True)


def bars(kind: str, title: str, found: Bars, names: Sequence[str], label: str) -> Picture:
    thick = 0.8 / len(found)

    def draw(axes: Axes) -> None:
        for place, (system, values) in enumerate(found.items()):
            means = [mean(values[name]) for name in names]
            deviations = [std(values[name]) for name in names]
            heights = np.arange(len(names)) - 0.4 + thick * (place + 0.5)
            axes.barh(heights, means, 0.88 * thick, color=colour(system))
            axes.errorbar(means, heights, xerr=deviations, fmt="none", ecolor=INK, elinewidth=0.7)
        axes.set_yticks(range(len(names)), [shortened(name, 22) for name in names])
        axes.set(xlabel=label, xlim=(0, None), ylim=(len(names) - 0.5, -0.5))
        axes.grid(axis="y", visible=False)

    size = {"width": 360, "height": 64 + len(names) * (7 + 8 * len(found))}
    return picture(f"bars-{kind}", draw, title=title, left=margin_for(names, 22), **size)


def mean(values: np.ndarray) -> float:
    """Of those that are defined; 0, no bar, where none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else 0.0


def std(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.std(ddof=1)) if len(defined) > 1 else 0.0
