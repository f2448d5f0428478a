"""Input checks of all metrics: probabilities (N, K) and labels (N, K)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from config import Task, UserError

# Wide enough for a float16 softmax over hundreds of classes; sigmoids seldom pass.
ROW_SUM_TOLERANCE = 0.01


def check(
    scores: ArrayLike,
    targets: ArrayLike,
    task: Task,
    classes: Sequence[str] | None = None,
    clips: Sequence[str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores as float64 and targets as bool, or a UserError that names the clip and the class.

    Scores are probabilities, 0 to 1; those of a single-label clip sum to 1. Targets are 0 or 1,
    with exactly one 1 per clip for single labels. Soft targets can be trained on but not evaluated.
    `classes` and `clips` name columns and rows in messages; without them they are numbered from 0.

    Shapes: scores (N, K), targets (N, K) -> (N, K) float64, (N, K) bool; N, K > 0.
    """
    if task not in ("single_label", "multi_label"):
        raise UserError(f"expected the task single_label or multi_label, found {task!r}")
    scores, targets = np.asarray(scores, np.float64), np.asarray(targets, np.float64)
    if scores.ndim != 2 or scores.shape != targets.shape or not scores.size:
        raise UserError(
            "expected scores and targets of the same shape (clips, classes), none of them 0; "
            f"found {scores.shape} and {targets.shape}"
        )
    if classes is not None and (len(classes), len(set(classes))) != (scores.shape[1],) * 2:
        raise UserError(
            f"expected {scores.shape[1]} different class names, one per column; "
            f"found {list(classes)}"
        )

    def raise_where(wrong: np.ndarray, found: np.ndarray, expected: str) -> None:
        if not wrong.any():
            return
        row, *column = np.argwhere(wrong)[0]
        where = f"clip {clips[row] if clips is not None else row}"
        if column:
            where += f", class {classes[column[0]] if classes is not None else column[0]}"
        raise UserError(f"{where}: {expected}, found {found[(row, *column)]:g}")

    raise_where(~((scores >= 0) & (scores <= 1)), scores, "expected a probability as score, 0 to 1")
    raise_where((targets != 0) & (targets != 1), targets, "expected 0 or 1 as label")
    if task == "single_label":
        raise_where(targets.sum(axis=1) != 1, targets.sum(axis=1), "expected exactly one label")
        total = scores.sum(axis=1)
        raise_where(abs(total - 1) > ROW_SUM_TOLERANCE, total, "expected scores that sum to 1")
    return scores, targets.astype(bool)


def decisions(scores: np.ndarray, task: Task) -> np.ndarray:
    """The most probable class of each clip, or the tags with a probability of at least 0.5.

    Shapes: scores (N, K) -> (N, K) bool.
    """
    if task == "multi_label":
        return scores >= 0.5
    return scores.argmax(axis=1)[:, None] == np.arange(scores.shape[1])


def mean_of_defined(values: np.ndarray) -> float:
    """The macro average over the values that are not NaN; NaN where none is left."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
