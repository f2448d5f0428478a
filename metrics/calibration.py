"""Expected calibration error: does a probability of 0.8 come true in eight cases of ten?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from metrics.inputs import check

BINS = 15


def expected_calibration_error(scores: ArrayLike, targets: ArrayLike, bins: int = BINS) -> float:
    r"""Single label: how far the highest score of a clip lies from the chance that it is right.

    .. math:: \sum_b \frac{n_b}{N} \lvert \mathrm{accuracy}_b - \mathrm{confidence}_b \rvert

    over `bins` intervals of equal width, ((b - 1) / bins, b / bins]; 0 belongs to the first.

    Source: Guo et al., ICML 2017, section 2, with its 15 bins.
    Shapes: scores (N, K), targets (N, K) -> (). Raises UserError, see `inputs.check`.
    """
    scores, is_class = check(scores, targets, "single_label")
    best = scores.argmax(axis=1)
    rows = np.arange(len(scores))
    return calibration_gap(scores[rows, best], is_class[rows, best], bins)


def class_calibration_error(scores: ArrayLike, targets: ArrayLike, bins: int = BINS) -> np.ndarray:
    """Multi label: how far each tag's probability lies from the share of clips that have it.

    The binary form of `expected_calibration_error`: a tag's own probability takes the place of the
    confidence.

    Source: Kull et al., NeurIPS 2019 (classwise-ECE).
    Shapes: scores (N, K), targets (N, K) -> (K,). Raises UserError, see `inputs.check`.
    """
    scores, present = check(scores, targets, "multi_label")
    pairs = zip(scores.T, present.T, strict=True)
    return np.array([calibration_gap(score, tag, bins) for score, tag in pairs])


def tag_calibration_error(scores: ArrayLike, targets: ArrayLike, bins: int = BINS) -> float:
    """The mean of `class_calibration_error` over all tags, those that no clip has among them."""
    return float(class_calibration_error(scores, targets, bins).mean())


def calibration_gap(confidence: np.ndarray, correct: np.ndarray, bins: int) -> float:
    """(N,) in [0, 1], (N,) bool -> the gap, weighted by the clips of each bin."""
    gaps = np.bincount(bin_of(confidence, bins), correct - confidence)
    return float(abs(gaps).sum() / len(confidence))


def bin_of(confidence: np.ndarray, bins: int) -> np.ndarray:
    """(N,) in [0, 1] -> (N,) from 0 to bins - 1."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, "left")


def reliability(
    confidence: np.ndarray, correct: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bins of a reliability diagram that hold anything, (b,) of at most `bins` each: how many
    confidences lie in each, their mean, and the share of them that came true.

    Shapes: (N,) in [0, 1], (N,) bool.
    """
    place = bin_of(confidence, bins)
    counts = np.bincount(place, minlength=bins)
    held = counts > 0
    said, true = (np.bincount(place, of, bins)[held] / counts[held] for of in (confidence, correct))
    return counts[held], said, true
