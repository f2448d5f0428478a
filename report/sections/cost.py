"""Accuracy and cost: score over the bytes of the weights and over MACs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from metrics import UNBOUNDED
from report.drawing import INK, PAPER, colour, fill, marker, picture
from report.frontier import on_frontier
from report.run import Run, System
from report.section import Absent, Picture, Pictures, Section
from report.table import with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

APART = 1.07  # ratio between systems of equal cost, which would overlap …
TOGETHER = 1.4  # … and at most between the first and the last of them
COSTS = (
    ("weight_bytes", "weights, bytes", "Score and size"),
    ("macs", "multiply-accumulates per clip", "Score and computation"),
)
SHAPES = ("diamonds", "circles", "squares", "triangles", "inverted triangles", "pluses", "crosses")


class Point(NamedTuple):
    """A system of a run, the `place`-th of those on the page."""

    place: int
    system: System
    cost: float
    mean: float
    std: float


def section(runs: Sequence[Run]) -> Section:
    caption = (
        "Mean score of each system with its standard deviation over seeds and folds. A ring marks "
        "the Pareto frontier: no other system is as cheap and better, or as good and cheaper. "
        "Systems of equal cost are drawn side by side. Markers are filled for float32, half filled "
        "for float16 and hollow for int8."
    )
    if len(runs) > 1:
        shapes = ", ".join(f"{run.name} {SHAPES[n % len(SHAPES)]}" for n, run in enumerate(runs))
        caption += f" Shapes are runs: {shapes}."
    pictures = [cost_picture(runs, *cost) for cost in COSTS]
    legend = max((run.systems for run in runs), key=len)
    return Section("Accuracy and cost", [Pictures(pictures, caption, legend)])


def cost_picture(runs: Sequence[Run], column: str, label: str, title: str) -> Picture:
    points = points_of(runs, column)
    costs = np.array([point.cost for point in points])
    sign = 1 if runs[0].higher_is_better else -1
    best = on_frontier(costs, [sign * point.mean for point in points])

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        for number, point in enumerate(points):
            equal = np.flatnonzero(costs == point.cost)
            step = min(APART, TOGETHER ** (1 / len(equal)))
            place = np.searchsorted(equal, number) - (len(equal) - 1) / 2
            cost, shade = point.cost * step**place, colour(point.system.look)
            axes.errorbar(cost, point.mean, point.std, color=shade, lw=1.2, capsize=2.5)
            shape, inside = marker(point.place), fill(point.system)
            drawn = axes.plot(
                cost, point.mean, shape, color=shade, ms=6, fillstyle=inside, mfcalt=PAPER
            )
            if best[number]:
                drawn += axes.plot(cost, point.mean, "o", mfc="none", mec=INK, ms=13, mew=1)
            for line in drawn:
                line.set_clip_on(False)  # of a score of 1 at the edge
        axes.set(xlabel=label, ylabel=runs[0].metric)
        axes.margins(y=0.1)
        if runs[0].metric not in UNBOUNDED:
            axes.set_ylim(top=min(1.0, axes.get_ylim()[1]))
        axes.set_xlim(limits(costs))
        log_ticks(axes)

    return picture(f"cost-{column}", draw, title=title, width=350, height=250, left=54)


def points_of(runs: Sequence[Run], column: str) -> list[Point]:
    """The systems with a known cost: that of an ensemble may be missing."""
    points = []
    for place, run in enumerate(runs):
        for system in run.systems:
            own = run.scores(system)
            std = own["value"].std() if len(own) > 1 else 0.0
            point = Point(place, system, own[column].mean(), own["value"].mean(), std)
            if point.cost > 0:
                points.append(point)
    if not points:
        raise Absent(f"results.csv has no {column}")
    return points


def limits(costs: np.ndarray) -> tuple[float, float]:
    """Of a logarithmic axis, with a margin on both sides, also of a single cost."""
    low, high = costs.min(), costs.max()
    room = TOGETHER * (high / low) ** 0.12
    return low / room, high * room


def log_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axes.get_xlim()
    steps = (1, 2, 5) if high / low < 300 else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: with_unit(value)))
