"""Confusion matrices, and the confusions that distillation changed most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from metrics.scenes import confusion_matrix
from report.drawing import HEATMAP, picture, shortened
from report.run import Predictions, Run, System
from report.section import Cell, Picture, Pictures, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_NUMBERED = 12  # classes, for counts in the cells
MAX_NAMED = 32  # classes, for names at the axes
MAX_PAIRS = 8  # in a table


def matrices(run: Run, predictions: Mapping[System, Predictions]) -> Pictures:
    classes = run.table.classes
    pictures = [
        matrix_picture(system, confusion_matrix(found.probabilities, found.targets), classes)
        for system, found in predictions.items()
    ]
    caption = "Rows: label; columns: predicted class; brightness: share of the row."
    return Pictures(pictures, caption)


def matrix_picture(system: System, counts: np.ndarray, classes: Sequence[str]) -> Picture:
    size, names = len(classes), [shortened(name, 16) for name in classes]

    def draw(axes: Axes) -> None:
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap=HEATMAP, vmin=0, vmax=1, interpolation="none")
        axes.grid(False)
        axes.set(xlabel="predicted", ylabel="" if size <= MAX_NAMED else "class")
        if size <= MAX_NAMED:
            axes.set_yticks(range(size), names, size=9)
            axes.set_xticks(range(size), names, size=9, rotation=90)
        if size <= MAX_NUMBERED:
            for (row, column), count in np.ndenumerate(counts):
                if count:
                    shade = "black" if share[row, column] > 0.6 else "white"
                    axes.text(column, row, count, ha="center", va="center", size=9, color=shade)

    margin = 14 + 5 * max(map(len, names)) if size <= MAX_NAMED else 48
    return picture(
        f"confusion-{system.look}",
        draw,
        title=system.label,
        width=margin + 230,
        height=margin + 30 + 220,
        left=margin,
        bottom=margin + 16,
    )


def confusions(predictions: Predictions, task: str) -> np.ndarray:
    """How often class a was missed and class b falsely predicted: (K, K) int.

    For single labels, the confusion matrix without its diagonal; for tags, at a threshold of 0.5.
    """
    if task == "single_label":
        counts = confusion_matrix(predictions.probabilities, predictions.targets)
        return counts - np.diag(counts.diagonal())
    positive = predictions.probabilities >= 0.5
    missed, false = predictions.targets & ~positive, positive & ~predictions.targets
    return missed.T.astype(int) @ false.astype(int)


def changed_confusions(
    run: Run, before: Sequence[Predictions], after: Sequence[Predictions], names: tuple[str, str]
) -> Table | None:
    """The pairs that changed most between two systems, summed over seeds; None without a change."""
    old, new = (
        np.sum([confusions(predictions, run.task) for predictions in each], axis=0)
        for each in (before, after)
    )
    change, classes = new - old, run.table.classes
    order = np.argsort(change, axis=None, kind="stable")
    places = [np.unravel_index(place, change.shape) for place in order]
    fewer = [place for place in places[:MAX_PAIRS] if change[place] < 0]
    more = [place for place in places[::-1][: MAX_PAIRS // 2] if change[place] > 0]
    if not fewer and not more:
        return None
    rows = [
        [
            Cell(classes[place[0]]),
            Cell(classes[place[1]]),
            *(Cell(str(counts[place]), float(counts[place])) for counts in (old, new)),
            Cell(f"{change[place]:+d}", float(change[place])),
        ]
        for place in (*fewer, *more)
    ]
    seeds = f", {len(before)} seeds summed" if len(before) > 1 else ""
    tags = "with the label missed and the other tag falsely predicted (at 0.5)"
    which = "predicted as the other class" if run.task == "single_label" else tags
    caption = (
        f"The confusions that distillation reduced or increased most: clips {which}, "
        f"{names[0]} and {names[1]}{seeds}."
    )
    return Table(["label", "predicted", *names, "change"], rows, caption, sortable=True)
