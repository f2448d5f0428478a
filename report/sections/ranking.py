"""Precision-recall curves of each tag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from metrics.precision_recall import Counts, area, category_counts, curve
from report.drawing import MUTED, PAPER, colour, dash, picture
from report.run import Predictions, Run, System
from report.section import Picture, Pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TIES = "stable"  # a curve is drawn in the order of its thresholds
MAX_TAGS = 32  # the most frequent


def precision_recall(run: Run, predictions: Mapping[System, Predictions]) -> Pictures:
    classes = run.table.classes
    counts = {
        system: category_counts(found.probabilities, found.targets, classes)
        for system, found in predictions.items()
    }
    clips = {name: found.positives for name, found in next(iter(counts.values())).items()}
    present = sorted((name for name in clips if clips[name]), key=lambda name: -clips[name])
    tags = [name for name in clips if name in present[:MAX_TAGS]]
    left_out = f" The {MAX_TAGS} most frequent tags of {len(present)}." * (len(present) > MAX_TAGS)
    caption = (
        "Precision over recall of each tag as the threshold falls; the dotted line is the share of "
        "clips with the tag, and the figures are areas under the curves, as in the DCASE metric: "
        f"usually lower than average precision.{left_out}"
    )
    size = len(next(iter(predictions.values())).rows)
    pictures = [
        tag_picture(number, name, {system: of[name] for system, of in counts.items()}, size)
        for number, name in enumerate(tags)
    ]
    return Pictures(pictures, caption, list(predictions))


def tag_picture(number: int, name: str, counts: Mapping[System, Counts], clips: int) -> Picture:
    def draw(axes: Axes) -> None:
        for place, (system, found) in enumerate(counts.items()):
            recall, precision = curve(found, TIES)
            axes.plot(recall, precision, color=colour(system.look), ls=dash(system), lw=1.5)
            figure = f"{area(found, TIES):.2f}"
            behind = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1}
            height, shade = 1.0 - 0.11 * place, colour(system.look)
            axes.text(0.99, height, figure, color=shade, bbox=behind, ha="right", va="top")
        share = next(iter(counts.values())).positives / clips
        axes.axhline(min(1.0, share), color=MUTED, lw=1, ls=":")
        ticks = np.linspace(0, 1, 3)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=ticks, yticks=ticks)
        axes.set(xlabel="recall", ylabel="precision")

    return picture(f"precision-recall-{number}", draw, title=name, width=230, height=200)
