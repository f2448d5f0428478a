"""Similarity matrices of clips, which similarity-preserving distillation compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from losses.sp import gram, row_normalised
from report.drawing import picture
from report.run import Run, System
from report.section import Picture, Pictures, Section
from report.trained import trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CLIPS = 48
BATCH = 8


def section(run: Run) -> Section:
    rows, borders = sorted_clips(run)
    found = {system: similarities(run, system, rows) for system in run.pictured}
    values = np.stack(list(found.values()))
    limits = np.quantile(values, 0.02), np.quantile(values, 0.98)
    teacher = found[run.teacher] if run.teacher else None
    pictures = [
        matrix_picture(system, matrix, borders, limits, None if matrix is teacher else teacher)
        for system, matrix in found.items()
    ]
    caption = (
        f"Inner products of the last feature maps of {len(rows)} test clips, rows normalised to "
        "length 1, as in the sp loss: the same clips in each, sorted by class (lines), bright "
        "where two are similar; sp is the mean squared difference from the teacher. "
        f"Models of {run.first_in_words}."
    )
    return Section("Similarity of clips", [Pictures(pictures, caption, shrink=0.72)])


def sorted_clips(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Rows of at most CLIPS test clips, sorted by labels, and where the first label changes."""
    seed, fold = run.first
    predictions = run.predictions(run.pictured[0], seed, [fold])
    labels = predictions.targets.astype(int)
    order = np.lexsort(labels.T[::-1])[::-1]
    order = order[np.linspace(0, len(order) - 1, min(CLIPS, len(order))).astype(int)]
    kept = labels[order]
    first = np.where(kept.any(axis=1), kept.argmax(axis=1), kept.shape[1])
    return predictions.rows[order], np.flatnonzero(np.diff(first)) + 0.5


@torch.inference_mode()
def similarities(run: Run, system: System, rows: np.ndarray) -> np.ndarray:
    """(B,) -> (B, B), rows of length 1."""
    model, features = trained(run, system)
    chunks = torch.as_tensor(rows).split(BATCH)  # the maps of all at once would take gigabytes
    maps = torch.cat([model(features[chunk]).maps[-1] for chunk in chunks])
    return row_normalised(gram(maps)).numpy()


def matrix_picture(
    system: System,
    matrix: np.ndarray,
    borders: np.ndarray,
    limits: tuple[float, float],
    teacher: np.ndarray | None,
) -> Picture:
    def draw(axes: Axes) -> None:
        axes.imshow(matrix, cmap="viridis", vmin=limits[0], vmax=limits[1], interpolation="none")
        for border in borders:
            axes.axhline(border, color="white", lw=0.5)
            axes.axvline(border, color="white", lw=0.5)
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        if teacher is not None:
            axes.set_xlabel(f"sp = {np.square(matrix - teacher).mean():.4f}")
        else:
            axes.set_xlabel("clips, sorted by class")

    name = f"similarity-{system.look}"
    return picture(name, draw, title=system.label, width=230, height=250, left=10, bottom=26)
