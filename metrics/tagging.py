"""Figures of a ranking of clips, for tagging: average precision, ROC-AUC and d'.

A class that is present in all clips or in none says nothing about a ranking: its figure is NaN and
the averages leave it out. They are NaN where no class is left.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from metrics.inputs import check, mean_of_defined


def class_average_precision(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    r"""How pure the top of each class's ranking is: the mean precision at its positives.

    .. math:: AP = \sum_i (R_i - R_{i-1}) P_i \quad \text{over the distinct scores, descending}

    Clips of equal score enter together, so that their order does not matter.

    Source: scikit-learn's average_precision_score; the figure of AudioSet and FSD50K.
    Differs: a class without positives or without negatives is NaN, not 0 or 1.
    Shapes: scores (N, K), targets (N, K) -> (K,). Raises UserError, see `inputs.check`.
    """
    return by_class(average_precision, scores, targets)


def mean_average_precision(scores: ArrayLike, targets: ArrayLike) -> float:
    """mAP: the mean of `class_average_precision` over the classes that have one.

    Differs: scikit-learn counts a class that no clip has as 0. No class of the evaluation sets of
    FSD50K and AudioSet is such a one; of a share of AudioSet's recordings some may be.
    """
    return mean_of_defined(class_average_precision(scores, targets))


def class_roc_auc(scores: ArrayLike, targets: ArrayLike) -> np.ndarray:
    r"""The chance that a clip with the class scores above one without; equal scores count half.

    .. math:: AUC = P(s^+ > s^-) + \tfrac12 P(s^+ = s^-)

    Source: Hanley & McNeil, Radiology 143, 1982 (the area under the ROC curve as a Mann-Whitney
    statistic).
    Differs: a class without positives or without negatives is NaN.
    Shapes: scores (N, K), targets (N, K) -> (K,). Raises UserError, see `inputs.check`.
    """
    return by_class(roc_auc_of_class, scores, targets)


def roc_auc(scores: ArrayLike, targets: ArrayLike) -> float:
    """Macro ROC-AUC: the mean of `class_roc_auc` over the classes that have one."""
    return mean_of_defined(class_roc_auc(scores, targets))


def d_prime(scores: ArrayLike, targets: ArrayLike) -> float:
    """`d_prime_of_auc` of the macro ROC-AUC, as PSLA and AST state it.

    Differs: the mean of the d' of each class, which some state, is mostly higher, and infinite as
    soon as one class is ranked perfectly.
    """
    return d_prime_of_auc(roc_auc(scores, targets))


def d_prime_of_auc(auc: float) -> float:
    r"""How far apart, in standard deviations, two normal distributions of that ROC-AUC lie.

    .. math:: d' = \sqrt 2 \, \Phi^{-1}(AUC)

    It is infinite for a perfect ranking and NaN for NaN.

    Source: Hershey et al., ICASSP 2017; AudioSet's third figure, taken of the averaged AUC.
    """
    from scipy.special import ndtri

    return float(np.sqrt(2) * ndtri(auc))


def by_class(
    figure: Callable[[np.ndarray, np.ndarray], float], scores: ArrayLike, targets: ArrayLike
) -> np.ndarray:
    scores, present = check(scores, targets, "multi_label")
    ranked = present.any(axis=0) & ~present.all(axis=0)
    return np.array(
        [
            figure(scores[:, k], present[:, k]) if ranked[k] else np.nan
            for k in range(scores.shape[1])
        ]
    )


def average_precision(scores: np.ndarray, present: np.ndarray) -> float:
    """One class: (N,), (N,) bool -> its average precision."""
    order = np.argsort(-scores)
    scores, hits = scores[order], present[order].cumsum()
    last_of_equals = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    precision = hits[last_of_equals] / (last_of_equals + 1)
    return float(np.diff(hits[last_of_equals], prepend=0) @ precision / hits[-1])


def roc_auc_of_class(scores: np.ndarray, present: np.ndarray) -> float:
    """One class: (N,), (N,) bool -> its ROC-AUC."""
    positives, negatives = scores[present], np.sort(scores[~present])
    below = np.searchsorted(negatives, positives, "left")
    not_above = np.searchsorted(negatives, positives, "right")
    return float((below + not_above).mean() / 2 / len(negatives))
