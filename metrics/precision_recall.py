"""Area under the precision-recall curve (AUPRC) as DCASE 2019 and 2020 Task 5 define it.

Each category (1_engine ... 8_dog) has a curve over the scores of its tags. At the fine level its
tags are counted together; where the truth contains the incomplete tag "X" (an engine of uncertain
size), no fine tag of that category is a false positive: any of them, or X, is one true positive.

Own code, since the result has to equal that of the official script: scikit-learn's precision-recall
curve has other thresholds, other end points and no incomplete tags.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from config import UserError
from metrics.inputs import check, mean_of_defined

LOWEST_THRESHOLD = 0.01
SORTS: dict[str, Literal["stable"] | None] = {"numpy": None, "stable": "stable"}
"""Tie order -> kind of numpy.argsort."""

FINE_TAG = re.compile(r"(\d+)-(\d+|X)_.+")


class Score(NamedTuple):
    """The official metrics; `classwise` is the AUPRC of each category, NaN for an absent one."""

    micro_auprc: float
    macro_auprc: float
    micro_f1: float
    classwise: dict[str, float]


class Counts(NamedTuple):
    """True positives, false positives and false negatives of `score >= threshold`, each (T,)."""

    thresholds: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    @property
    def positives(self) -> int:
        """True positives and false negatives: all positive labels."""
        return int(self.tp[0] + self.fn[0])


def score(
    scores: ArrayLike, targets: ArrayLike, classes: Sequence[str], tie_order: str = "numpy"
) -> Score:
    r"""Micro and macro area under the precision-recall curve (AUPRC), and micro F1 at 0.5.

    .. math:: P = \frac{TP}{\max(TP + FP, 1/2)}, \quad R = \frac{TP}{\max(TP + FN, 1/2)}, \quad
              AUPRC = \sum_i (R_{i+1} - R_i) \frac{P_i + P_{i+1}}{2}

    over the points sorted by R, from (R, P) = (0, 1) to (1, 0). The thresholds are 1 and the
    distinct scores, at least 0.01, of the category's tags without X. The micro curve sums the
    counts of all categories at the union of their thresholds. F1 is computed at the lowest of these
    that is at least 0.5.

    The class names decide the level. If all look like "1-2_medium-sounding-engine" or
    "1-X_engine-of-uncertain-size", the part before "-" is the category (the name in `classwise`)
    and the fine level is evaluated; otherwise each class is a category. So the metric is defined
    for every multi-label task.

    The area depends on the order of points of equal recall. `tie_order` "numpy" sorts as the
    official script does, with NumPy's default sort, whose order depends on its version and on the
    processor (up to 1e-4 of micro, 5e-3 of macro); "stable" keeps the order in which the script
    has the points before it sorts: thresholds descending for a category, ascending for micro.

    A perfect ranking can score less than 1: with the scores 0.9 and 0.1 only, macro is 0.5, since
    threshold 1 adds (0, 0). If no score reaches 0.01, or no clip has any tag, micro AUPRC and F1
    are 0.

    Source: the metrics of sonyc-project/urban-sound-tagging-baseline.
    Differs: a category without clips is NaN and macro leaves it out (NaN if none is left), and a
    category that all clips have has its value; the script stops with an IndexError or, at the fine
    level, counts 0. Scores outside 0 to 1 and NaN are errors; the script accepts them or stops with
    an IndexError.
    Shapes: scores (N, K), targets (N, K). Raises UserError, see `inputs.check`.
    """
    if tie_order not in SORTS:
        raise UserError(f"expected the tie order numpy or stable, found {tie_order!r}")
    counts = category_counts(scores, targets, classes)
    micro = sum_counts(list(counts.values()))
    classwise = {
        name: area(of_category, tie_order) if of_category.positives else math.nan
        for name, of_category in counts.items()
    }
    return Score(
        micro_auprc=area(micro, tie_order),
        macro_auprc=mean_of_defined(np.array(list(classwise.values()))),
        micro_f1=f1_at_half(micro),
        classwise=classwise,
    )


def category_counts(
    scores: ArrayLike, targets: ArrayLike, classes: Sequence[str]
) -> dict[str, Counts]:
    """Category -> its counts, thresholds descending; input of `curve`.

    Shapes: scores (N, K), targets (N, K). Raises UserError, see `inputs.check`.
    """
    scores, present = check(scores, targets, "multi_label", classes)
    return {
        name: count(
            scores[:, complete],
            present[:, complete],
            scores[:, incomplete].max(axis=1, initial=0),
            np.asarray(present[:, incomplete].any(axis=1)),
        )
        for name, (complete, incomplete) in categories(classes).items()
    }


def categories(classes: Sequence[str]) -> dict[str, tuple[list[int], list[int]]]:
    """Category -> the columns of its complete tags, and of its incomplete one ("X") if any."""
    fine = [match for match in map(FINE_TAG.fullmatch, classes) if match]
    if len(fine) < len(classes):
        return {name: ([column], []) for column, name in enumerate(classes)}
    columns: dict[str, tuple[list[int], list[int]]] = {}
    for column, match in enumerate(fine):
        complete, incomplete = columns.setdefault(match[1], ([], []))
        (incomplete if match[2] == "X" else complete).append(column)
    return columns


def count(
    scores: np.ndarray, present: np.ndarray, incomplete_score: np.ndarray, incomplete: np.ndarray
) -> Counts:
    """Counts of one category, thresholds descending.

    A true X is a true positive if any tag is predicted and no complete tag correctly; it is a false
    negative if no tag is predicted and no complete tag is true. Complete tags count one by one, but
    are no false positives where X is true. A predicted X is a false positive where the category is
    absent, unless all complete tags are predicted too. Each of these is the number of clips (or
    tags) whose score, or whose lowest or highest score, reaches the threshold.

    Shapes: complete tags (N, C) scores and presence, X (N,) score and presence.
    """
    thresholds = np.unique(np.append(scores[scores >= LOWEST_THRESHOLD], 1.0))[::-1]

    def at_least(values: np.ndarray) -> np.ndarray:
        return values.size - np.searchsorted(np.sort(values), thresholds, "left")

    highest = np.maximum(scores.max(axis=1, initial=-np.inf), incomplete_score)
    highest_correct = np.where(present, scores, -np.inf).max(axis=1, initial=-np.inf)
    lowest = scores.min(axis=1, initial=np.inf)
    only_incomplete = incomplete & ~present.any(axis=1)
    absent = ~incomplete & ~present.any(axis=1)

    correct = at_least(scores[present])
    tp = correct + at_least(highest[incomplete]) - at_least(highest_correct[incomplete])
    fp = (
        at_least(scores[~present & ~incomplete[:, None]])
        + at_least(incomplete_score[absent])
        - at_least(np.minimum(incomplete_score, lowest)[absent])
    )
    fn = present.sum() - correct + only_incomplete.sum() - at_least(highest[only_incomplete])
    return Counts(thresholds, tp, fp, fn)


def sum_counts(counts: Sequence[Counts]) -> Counts:
    """The sum over categories, thresholds ascending.

    At each common threshold a category has the counts of its lowest threshold that is not below
    it; hence its counts change at its own thresholds only, and the sum is the running total of all
    changes from threshold 1 downwards.
    """
    thresholds, place = np.unique(
        np.concatenate([part.thresholds for part in counts]), return_inverse=True
    )

    def total(parts: list[np.ndarray]) -> np.ndarray:
        changes = np.concatenate([np.diff(part, prepend=0) for part in parts])
        return np.bincount(place, changes)[::-1].cumsum()[::-1]

    return Counts(
        thresholds,
        total([part.tp for part in counts]),
        total([part.fp for part in counts]),
        total([part.fn for part in counts]),
    )


def curve(counts: Counts, tie_order: str) -> tuple[np.ndarray, np.ndarray]:
    """Recall, ascending from 0 to 1, and precision, with (0, 1) before and (1, 0) after them."""
    precision = counts.tp / np.maximum(counts.tp + counts.fp, 0.5)
    recall = counts.tp / np.maximum(counts.tp + counts.fn, 0.5)
    order = np.argsort(recall, kind=SORTS[tie_order])
    recall = np.concatenate([[0.0], recall[order], [1.0]])
    precision = np.concatenate([[1.0], precision[order], [0.0]])
    return recall, precision


def area(counts: Counts, tie_order: str) -> float:
    """The area under the curve by the trapezoidal rule."""
    recall, precision = curve(counts, tie_order)
    return float((np.diff(recall) * (precision[1:] + precision[:-1])).sum() / 2)


def f1_at_half(counts: Counts) -> float:
    """Micro F1 at the lowest threshold of at least 0.5 (thresholds ascending, up to 1)."""
    row = np.searchsorted(counts.thresholds, 0.5)
    tp, errors = counts.tp[row], counts.fp[row] + counts.fn[row]
    return float(2 * tp / max(2 * tp + errors, 0.5))
