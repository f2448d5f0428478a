"""The picture at the top of README: the gain by distillation, from committed results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from report.drawing import INK, MUTED, marker, picture, standalone
from report.section import Picture
from report.table import with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parent.parent
PANELS = (
    ("recipes/results/street_sounds.csv", "micro_auprc", "street_sounds, synthesised"),
    ("recipes/results/esc10.csv", "accuracy", "ESC-10, real recordings, five folds"),
)
WIDTH, HEIGHT = 440, 300  # px, of a panel
APART = 0.08  # of the range of the scores, between names


def overview() -> str:
    """A standalone SVG, light or dark as the reader's screen."""
    panels = [panel(pd.read_csv(ROOT / file), metric, title) for file, metric, title in PANELS]
    return standalone(panels, HEIGHT)


def panel(results: pd.DataFrame, metric: str, title: str) -> Picture:
    """The mean score of each system over its number of parameters, labelled with its name."""
    found = results[results["metric"] == metric]
    systems = found.groupby(["role", "variant", "parameters"], sort=False)["value"]
    order = sorted(systems, key=lambda row: (row[0][0].startswith("student"), row[0][1].count("+")))
    looks = {system: look for look, (system, _) in enumerate(order)}
    gap = APART * (systems.mean().max() - systems.mean().min())

    def draw(axes: Axes) -> None:
        lowest = 0.0
        for system, values in sorted(systems, key=lambda row: row[1].mean()):
            parameters, look, mean = system[2], looks[system], values.mean()
            lowest = max(mean, lowest)
            axes.plot(parameters, mean, marker(look), color=f"#0001{look:02x}", ms=8)
            big = parameters == found["parameters"].max()
            axes.text(
                parameters * (1 / 1.07 if big else 1.07),
                lowest,
                label(*system[:2], values),
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


def label(role: str, variant: str, values: pd.Series) -> str:
    name = f"{role}, {variant}" if role.startswith("student") else role
    return f"{name}  {values.mean():.3f} ± {values.std():.3f}"
