"""Calibration: reliability diagrams and the expected calibration error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from metrics.calibration import expected_calibration_error, reliability, tag_calibration_error
from report.drawing import FAINT, INK, MUTED, PAPER, colour, picture
from report.run import Predictions, Run, System
from report.section import Picture, Pictures, Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def section(run: Run) -> Section:
    seed = run.seeds[0]
    predictions = {system: run.predictions(system, seed) for system in run.pictured}
    tags = run.task == "multi_label"
    confidence = "the probability of a tag" if tags else "the highest probability of a clip"
    mean = ", a mean over the tags" if tags else ""
    caption = (
        f"Accuracy over confidence ({confidence}): the straight line is perfect calibration, bars "
        "and the sizes of the dots show how many predictions have that confidence, and ECE is the "
        f"expected calibration error{mean}. Seed {seed}."
    )
    pictures = [reliability_picture(system, found, tags) for system, found in predictions.items()]
    return Section("Calibration", [Pictures(pictures, caption)])


def reliability_picture(system: System, predictions: Predictions, tags: bool) -> Picture:
    counts, confidence, accuracy = reliability(*confidence_and_correctness(predictions, tags))
    measure = tag_calibration_error if tags else expected_calibration_error
    error = measure(predictions.probabilities, predictions.targets)

    def draw(axes: Axes) -> None:
        axes.bar(confidence, counts / counts.sum(), 0.04, color=FAINT)
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1)
        axes.plot(confidence, accuracy, color=colour(system.look), lw=0.8)
        sizes = 6 + 60 * np.sqrt(counts / counts.max())
        axes.scatter(confidence, accuracy, sizes, color=colour(system.look), lw=0)
        behind = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1}
        axes.text(0.04, 0.97, f"ECE {error:.3f}", va="top", color=INK, bbox=behind)
        ticks = np.linspace(0, 1, 3)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xticks=ticks, yticks=ticks)
        axes.set(xlabel="confidence", ylabel="accuracy")

    name = f"calibration-{system.look}"
    return picture(name, draw, title=system.label, width=240, height=220)


def confidence_and_correctness(
    predictions: Predictions, tags: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Of every tag of each clip, or of its most probable class."""
    if tags:
        return predictions.probabilities.ravel(), predictions.targets.ravel()
    rows, predicted = np.arange(len(predictions.rows)), predictions.probabilities.argmax(axis=1)
    return predictions.probabilities[rows, predicted], predictions.targets[rows, predicted]
