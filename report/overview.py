"""The picture at the top of README: the gain by distillation, from committed results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from report.drawing import INK, MUTED, colour, marker, picture, standalone
from report.section import Picture
from report.table import with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parent.parent
PANELS = (
    ("ESC-10, a tenth of the labels", "yamnet_small_esc10_few.csv"),
    ("ESC-10, all labels", "yamnet_small_esc10.csv"),
)
METRIC = "accuracy"
WIDTH, HEIGHT = 440, 300  # px, of a panel
APART = 0.08  # of the range of the scores, between names
TICKS_APART = 2.5  # times as large


class Line(NamedTuple):
    """A system of the results in each of its sizes, ascending."""

    role: str
    variant: str
    parameters: list[float]
    scores: list[pd.Series]  # by seed and fold

    @property
    def means(self) -> list[float]:
        return [scores.mean() for scores in self.scores]

    @property
    def label(self) -> str:
        """Of the largest size."""
        name = f"{self.role}, {self.variant}" if self.role.startswith("student") else self.role
        return f"{name}  {self.scores[-1].mean():.3f} ± {self.scores[-1].std():.3f}"


def overview() -> str:
    """A standalone SVG, light or dark as the reader's screen."""
    return standalone([panel(accuracies(file), title) for title, file in PANELS], HEIGHT)


def accuracies(file: str) -> pd.DataFrame:
    results = pd.read_csv(ROOT / "recipes/results" / file)
    return results[results["metric"] == METRIC]


def lines_of(results: pd.DataFrame) -> list[Line]:
    """The teachers, then the students, those of fewer losses first."""
    lines = []
    for (role, variant), own in results.groupby(["role", "variant"]):
        sizes = sorted(own["parameters"].unique())
        scores = [own.loc[own["parameters"] == size, "value"] for size in sizes]
        lines.append(Line(str(role), str(variant), sizes, scores))
    return sorted(lines, key=lambda one: (one.role.startswith("student"), one.variant.count("+")))


def distant(sizes: list[float]) -> list[float]:
    """The largest of the ascending sizes, and those far enough below the next of these."""
    found = sizes[-1:]
    for size in sizes[::-1]:
        if size * TICKS_APART <= found[0]:
            found.insert(0, size)
    return found


def panel(results: pd.DataFrame, title: str) -> Picture:
    """The mean score of each system over its number of parameters, labelled with its name."""
    lines = lines_of(results)
    every = [mean for line in lines for mean in line.means]
    gap = APART * (max(every) - min(every))
    sizes = sorted(set(results["parameters"]))

    def draw(axes: Axes) -> None:
        lowest = 0.0
        for look in sorted(range(len(lines)), key=lambda number: lines[number].means[-1]):
            line = lines[look]
            axes.plot(line.parameters, line.means, marker(look), color=colour(look), ms=8, ls="-")
            lowest = max(line.means[-1], lowest)
            big = line.parameters[-1] == sizes[-1]
            axes.annotate(
                line.label,
                (line.parameters[-1], lowest),
                xytext=(-9 if big else 9, 0),
                textcoords="offset points",
                ha="right" if big else "left",
                va="center",
                color=INK,
                fontsize=10,
            )
            lowest += gap
        axes.set_xscale("log")
        axes.margins(y=0.18)
        axes.set_xlim(sizes[0] / 1.8, sizes[-1] * 1.8)
        ticks = distant(sizes)
        axes.set_xticks(ticks, [with_unit(size) for size in ticks])
        axes.minorticks_off()
        axes.set_xlabel("parameters", color=MUTED)
        axes.set_ylabel(METRIC, color=MUTED)

    return picture(f"overview {title}", draw, title=title, width=WIDTH, height=HEIGHT, left=58)
