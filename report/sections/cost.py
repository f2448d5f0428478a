"""What accuracy costs: score against the bytes of the weights and against MACs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from report.drawing import INK, colour, marker, picture
from report.frontier import on_frontier
from report.run import Run, System
from report.section import Picture, Pictures, Section
from report.table import with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

APART = 1.035  # between systems of one size, which would hide one another
COSTS = (
    ("weight_bytes", "weights, bytes of float32", "Score against size"),
    ("macs", "multiply-accumulates a clip", "Score against computation"),
)


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
    return Section("cost", "Accuracy and cost", [Pictures(pictures, caption, legend)])


SHAPES = ("diamonds", "circles", "squares", "triangles", "inverted triangles", "pluses", "crosses")


def cost_picture(runs: Sequence[Run], column: str, label: str, title: str) -> Picture:
    shown = [(run, number, system) for number, run in enumerate(runs) for system in run.systems]
    shown = [(*item, *point(item[0], item[2], column)) for item in shown]
    shown = [item for item in shown if item[3] > 0]  # an ensemble may not have counted itself
    sign = 1 if runs[0].higher_is_better else -1
    costs, means = np.array([(item[3], item[4]) for item in shown]).T
    best = on_frontier(costs, sign * means)

    def draw(axes: Axes) -> None:
        axes.set_xscale("log")
        for place, (item, marked) in enumerate(zip(shown, best, strict=True)):
            _, number, system, cost, mean, deviation = item
            alike = np.flatnonzero(costs == cost)
            cost = cost * APART ** (2 * (place - alike.mean()))
            axes.errorbar(cost, mean, deviation, color=colour(system), lw=1.2, capsize=2.5)
            style = {"mfc": colour(system), "mec": colour(system), "ms": 6}
            axes.plot(cost, mean, marker(number), **style)
            if marked:
                axes.plot(cost, mean, "o", mfc="none", mec=INK, ms=13, mew=1)
        axes.set(xlabel=label, ylabel=runs[0].metric)
        axes.margins(0.12, 0.1)
        log_ticks(axes)

    return picture(f"cost-{column}", draw, title=title, width=350, height=250, left=54)


def point(run: Run, system: System, column: str) -> tuple[float, float, float]:
    own = run.scores(system)
    deviation = own["value"].std() if len(own) > 1 else 0.0
    return float(own[column].mean()), float(own["value"].mean()), float(deviation)


def log_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axes.get_xlim()
    steps = (1, 2, 5) if high / low < 300 else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: with_unit(value)))
