"""What is taken for what, and which of these confusions distillation mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from metrics.scenes import confusion_matrix
from report.drawing import HEATMAP, picture, shortened
from report.run import Judged, Run, System
from report.section import Cell, Picture, Pictures, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUMBERED = 12  # classes whose cells hold their counts
NAMED = 32  # classes whose names fit
MOST = 8  # pairs in a table


def matrices(run: Run, judged: Mapping[System, Judged]) -> Pictures:
    classes = run.table.classes
    pictures = [
        matrix_picture(system, confusion_matrix(said.probabilities, said.targets), classes)
        for system, said in judged.items()
    ]
    caption = "Rows: what is heard; columns: what it was taken for; brightness: share of the row."
    return Pictures(pictures, caption)


def matrix_picture(system: System, counts: np.ndarray, classes: Sequence[str]) -> Picture:
    size, names = len(classes), [shortened(name, 16) for name in classes]

    def draw(axes: Axes) -> None:
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap=HEATMAP, vmin=0, vmax=1, interpolation="none")
        axes.grid(False)
        axes.set(xlabel="taken for", ylabel="" if size <= NAMED else "class")
        if size <= NAMED:
            axes.set_yticks(range(size), names, size=9)
            axes.set_xticks(range(size), names, size=9, rotation=90)
        if size <= NUMBERED:
            for (row, column), count in np.ndenumerate(counts):
                if count:
                    shade = "black" if share[row, column] > 0.6 else "white"
                    axes.text(column, row, count, ha="center", va="center", size=9, color=shade)

    margin = 14 + 5 * max(map(len, names)) if size <= NAMED else 48
    return picture(
        f"confusion-{system.look}",
        draw,
        title=system.label,
        width=margin + 230,
        height=margin + 30 + 220,
        left=margin,
        bottom=margin + 16,
    )


def confusions(judged: Judged, task: str) -> np.ndarray:
    """How often class a was there and missed while b was said and not there: (K, K) int.

    Of single labels the confusion matrix without its diagonal; of tags at a threshold of 0.5.
    """
    if task == "single_label":
        counts = confusion_matrix(judged.probabilities, judged.targets)
        return counts - np.diag(counts.diagonal())
    said = judged.probabilities >= 0.5
    missed, false = judged.targets & ~said, said & ~judged.targets
    return missed.T.astype(int) @ false.astype(int)


def mended(
    run: Run, before: Sequence[Judged], after: Sequence[Judged], names: tuple[str, str]
) -> Table | None:
    """The pairs that changed most between two systems, summed over seeds; None where none did."""
    old = sum(confusions(judged, run.task) for judged in before)
    new = sum(confusions(judged, run.task) for judged in after)
    change, classes = new - old, run.table.classes
    order = np.argsort(change, axis=None, kind="stable")
    places = [np.unravel_index(place, change.shape) for place in order]
    fewer = [place for place in places[:MOST] if change[place] < 0]
    more = [place for place in places[::-1][: MOST // 2] if change[place] > 0]
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
    seeds = f", {len(before)} seeds added up" if len(before) > 1 else ""
    taken = "missed, and the other said in its place (both at 0.5)"
    what = "taken for the other" if run.task == "single_label" else taken
    caption = (
        f"The pairs that distillation mended most, and those that it made worse: clips {what}, "
        f"{names[0]} against {names[1]}{seeds}."
    )
    return Table(["heard", "taken for", *names, "change"], rows, caption, sortable=True)
