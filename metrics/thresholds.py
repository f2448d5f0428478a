"""The threshold of each tag, calibrated on validation clips."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from metrics.inputs import check

DEFAULT = 0.5
FEWEST = 5  # clips with a tag, and without it, from which its threshold is calibrated


def class_thresholds(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    r"""The threshold of each class with the largest F1; its tag is given from there up.

    .. math:: F_1 = \frac{2 TP}{2 TP + FP + FN}

    Thresholds are half-way between neighbouring scores; of equal F1, the one nearest to DEFAULT. A
    class with fewer than FEWEST clips that have it, or that do not, keeps DEFAULT.

    Shapes: scores (N, K), targets (N, K) of 0 and 1 -> (K,). Raises UserError, see `inputs.check`.
    """
    scores, targets = check(scores, targets, "multi_label")
    pairs = zip(scores.T, targets.T.astype(bool), strict=True)
    return np.array([best_threshold(column, truth) for column, truth in pairs])


def best_threshold(scores: np.ndarray, truth: np.ndarray) -> float:
    """Of one class, (N,) each."""
    if min(truth.sum(), (~truth).sum()) < FEWEST:
        return DEFAULT
    levels, places = np.unique(scores, return_inverse=True)
    positives, clips = (np.bincount(places, weights=w) for w in (truth, np.ones(len(truth))))
    hits = positives[::-1].cumsum()[::-1]  # true positives from each level up
    tags = clips[::-1].cumsum()[::-1]
    f1 = 2 * hits / (tags + truth.sum())
    below = np.concatenate([[0.0], levels[:-1]])
    between = (levels + below) / 2
    between = np.where(between > below, between, levels)  # neighbours without a number between
    best = between[f1 == f1.max()]
    return float(best[np.abs(best - DEFAULT).argmin()])
