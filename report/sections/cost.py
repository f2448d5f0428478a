"""What accuracy costs: score against the bytes of the weights and against MACs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from report.drawing import INK, colour, marker, picture
from report.frontier import on_frontier
from report.run import Run, System
from report.section import Absent, Picture, Pictures, Section
from report.table import with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

APART = 1.07  # between systems of one size, which would hide one another …
TOGETHER = 1.4  # … and between the first and the last of them at most
COSTS = (
    ("weight_bytes", "weights, bytes", "Score against size"),
    ("macs", "multiply-accumulates a clip", "Score against computation"),
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
        "Mean score of each system, with its standard deviation over seeds and folds; a ring marks "
        "the frontier: no other system is as cheap and better, or as good and cheaper. Systems of "
        "one size stand side by side."
    )
    if len(runs) > 1:
        shapes = ", ".join(f"{run.name} {SHAPES[n % len(SHAPES)]}" for n, run in enumerate(runs))
        caption += f" Colours are systems, shapes are runs: {shapes}."
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
            alike = np.flatnonzero(costs == point.cost)
            step = min(APART, TOGETHER ** (1 / len(alike)))
            place = np.searchsorted(alike, number) - (len(alike) - 1) / 2
            cost, shade = point.cost * step**place, colour(point.system)
            axes.errorbar(cost, point.mean, point.std, color=shade, lw=1.2, capsize=2.5)
            axes.plot(cost, point.mean, marker(point.place), color=shade, ms=6)
            if best[number]:
                axes.plot(cost, point.mean, "o", mfc="none", mec=INK, ms=13, mew=1)
        axes.set(xlabel=label, ylabel=runs[0].metric)
        axes.margins(y=0.1)
        axes.set_xlim(limits(costs))
        log_ticks(axes)

    return picture(f"cost-{column}", draw, title=title, width=350, height=250, left=54)


def points_of(runs: Sequence[Run], column: str) -> list[Point]:
    """Those that have this cost: an ensemble may not have counted itself."""
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
    """Of a logarithmic axis, with room on both sides of one cost, too."""
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
