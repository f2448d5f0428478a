"""Calibration: whether a probability of 0.8 comes true in eight cases of ten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from metrics.calibration import expected_calibration_error, reliability, tag_calibration_error
from report.drawing import FAINT, INK, MUTED, PAPER, colour, picture
from report.run import Judged, Run, System
from report.section import Picture, Pictures, Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def section(run: Run) -> Section:
    seed = run.seeds[0]
    judged = {system: run.judged(system, seed) for system in run.pictured}
    tags = run.task == "multi_label"
    said = "probability of a tag" if tags else "highest probability of a clip"
    mean = ", a mean over the tags" if tags else ""
    caption = (
        f"How often what was said came true, over how sure it was ({said}): the straight line is "
        "perfect calibration, bars and the sizes of the dots show how often it was so sure, and "
        f"ECE is the expected calibration error{mean}. Seed {seed}."
    )
    pictures = [reliability_picture(system, found, tags) for system, found in judged.items()]
    return Section("Calibration", [Pictures(pictures, caption)])


def reliability_picture(system: System, judged: Judged, tags: bool) -> Picture:
    confidence, correct = said_and_true(judged, tags)
    counts, said, true = reliability(confidence, correct)
    measure = tag_calibration_error if tags else expected_calibration_error
    error = measure(judged.probabilities, judged.targets)

    def draw(axes: Axes) -> None:
        axes.bar(said, counts / counts.sum(), 0.04, color=FAINT)
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1)
        axes.plot(said, true, color=colour(system), lw=0.8)
        axes.scatter(
            said, true, 6 + 60 * np.sqrt(counts / counts.max()), color=colour(system), lw=0
        )
        behind = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1}
        axes.text(0.04, 0.97, f"ECE {error:.3f}", va="top", color=INK, bbox=behind)
        ticks = np.linspace(0, 1, 3)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xticks=ticks, yticks=ticks)
        axes.set(xlabel="said", ylabel="came true")

    name = f"calibration-{system.look}"
    return picture(name, draw, title=system.label, width=240, height=220)


def said_and_true(judged: Judged, tags: bool) -> tuple[np.ndarray, np.ndarray]:
    """Confidences and whether they came true: of every tag of a clip, or of its highest class."""
    if tags:
        return judged.probabilities.ravel(), judged.targets.ravel()
    rows, taken = np.arange(len(judged.rows)), judged.probabilities.argmax(axis=1)
    return judged.probabilities[rows, taken], judged.targets[rows, taken]
