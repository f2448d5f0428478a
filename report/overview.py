"""The picture at the top of README: the gain by distillation, from committed results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from report.drawing import INK, MUTED, marker, picture, standalone
from report.section import Picture
from report.table import with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parent.parent
PANELS = (
    ("recipes/results/yamnet_esc10_few.csv", "accuracy", "ESC-10, a tenth of the labels"),
    ("recipes/results/yamnet_esc10.csv", "accuracy", "ESC-10, all labels"),
)
WIDTH, HEIGHT = 440, 300  # px, of a panel
APART = 0.08  # of the range of the scores, between names


class Point(NamedTuple):
    """A system of the results, with its scores by seed and fold."""

    role: str
    variant: str
    parameters: float
    scores: pd.Series


def overview() -> str:
    """A standalone SVG, light or dark as the reader's screen."""
    panels = [panel(pd.read_csv(ROOT / file), metric, title) for file, metric, title in PANELS]
    return standalone(panels, HEIGHT)


def panel(results: pd.DataFrame, metric: str, title: str) -> Picture:
    """The mean score of each system over its number of parameters, labelled with its name."""
    found = results[results["metric"] == metric]
    points = [
        Point(str(role), str(variant), rows["parameters"].iloc[0], rows["value"])
        for (role, variant, _), rows in found.groupby(["role", "variant", "parameters"], sort=False)
    ]
    points.sort(key=lambda one: (one.role.startswith("student"), one.variant.count("+")))
    means = [one.scores.mean() for one in points]
    gap = APART * (max(means) - min(means))

    def draw(axes: Axes) -> None:
        lowest = 0.0
        for look in sorted(range(len(points)), key=means.__getitem__):
            parameters, mean = points[look].parameters, means[look]
            lowest = max(mean, lowest)
            axes.plot(parameters, mean, marker(look), color=f"#0001{look:02x}", ms=8)
            big = parameters == found["parameters"].max()
            axes.annotate(
                label(points[look]),
                (parameters, lowest),
                xytext=(-9 if big else 9, 0),
                textcoords="offset points",
                ha="right" if big else "left",
                va="center",
                color=INK,
                fontsize=10,
            )
            lowest += gap
        axes.set_xscale("log")
        axes.margins(0.25, 0.18)
        sizes = sorted(set(found["parameters"]))
        axes.set_xticks(sizes, [with_unit(size) for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("parameters", color=MUTED)
        axes.set_ylabel(metric, color=MUTED)

    return picture(f"overview-{title[:4]}", draw, title=title, width=WIDTH, height=HEIGHT, left=58)


def label(point: Point) -> str:
    role, variant, _, scores = point
    name = f"{role}, {variant}" if role.startswith("student") else role
    return f"{name}  {scores.mean():.3f} ± {scores.std():.3f}"
