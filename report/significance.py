"""The exact Wilcoxon signed-rank test of paired gains, and Holm's correction for several tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

NAME = "Wilcoxon signed-rank test, two-sided, exact"


class SignedRank(NamedTuple):
    pairs: int
    p: float  # NaN where all are equal


def signed_rank(differences: ArrayLike) -> SignedRank:
    r"""Two-sided p of the hypothesis that differences are symmetric around 0.

    .. math:: W = \sum_{d_i > 0} R_i, \quad
              p = P\left(\lvert W - \tfrac12 \textstyle\sum R \rvert \ge \text{observed}\right)

    R are the ranks of the absolute differences other than 0; equal ones share their mean rank. The
    distribution of W over all 2^n signs is exact. (With n = 3, p is at least 0.25.) NaN is no pair.

    Source: Wilcoxon, Biometrics Bulletin 1, 1945.
    Shapes: (pairs,), one difference per seed and fold.
    """
    found = np.asarray(differences, np.float64)
    found = found[~np.isnan(found)]
    moved = found[np.abs(found) > 1e-12]  # the rest differ by rounding only
    if not moved.size:
        return SignedRank(len(found), math.nan)
    # Scores that are counts of clips tie, but for rounding. Equal ones have their mean rank; twice
    # the mean rank is the sum of their first and last rank.
    _, place, equal = np.unique(np.abs(moved).round(12), return_inverse=True, return_counts=True)
    last = equal.cumsum()
    doubled = (2 * last - equal + 1)[place]
    share = np.zeros(doubled.sum() + 1)  # of all signs, by the rank sum that they give
    share[0] = 1
    for rank in doubled:
        share = (share + np.concatenate([np.zeros(rank), share[:-rank]])) / 2
    uneven = np.abs(2 * np.arange(len(share)) - doubled.sum())
    p = share[uneven >= uneven[doubled[moved > 0].sum()]].sum()
    return SignedRank(len(found), float(p))


def holm(p_values: ArrayLike) -> np.ndarray:
    r"""p-values adjusted for their number m: those below a level hold at that level together.

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1)\, p_{(j)})

    NaN, a comparison without any difference, stays NaN and does not count.

    Source: Holm, Scandinavian Journal of Statistics 6, 1979.
    Shapes: (m,) -> (m,).
    """
    adjusted = np.array(p_values, np.float64)
    tested = np.flatnonzero(~np.isnan(adjusted))
    order = tested[np.argsort(adjusted[tested])]
    scaled = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return adjusted


def in_words(test: SignedRank, adjusted: float = math.nan) -> str:
    """`p = 0.031, n = 15`, or why there is no p; `p = 0.031 (Holm: p = 0.062), n = 15` with
    the p `adjusted` for several tests.
    """
    if test.pairs < 2:
        return f"n = {test.pairs}, not tested"
    if np.isnan(test.p):
        return f"no difference, n = {test.pairs}"
    together = "" if math.isnan(adjusted) else f" (Holm: {p_in_words(adjusted)})"
    return f"{p_in_words(test.p)}{together}, n = {test.pairs}"


def all_in_words(tests: Sequence[SignedRank]) -> list[str]:
    """Tests against one baseline: with p adjusted where several of them have one."""
    adjusted = holm([test.p if test.pairs > 1 else math.nan for test in tests])
    several = np.isfinite(adjusted).sum() > 1
    return [
        in_words(test, float(p) if several else math.nan)
        for test, p in zip(tests, adjusted, strict=True)
    ]


def p_in_words(p: float) -> str:
    """Empty where it is NaN."""
    if math.isnan(p):
        return ""
    return f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"
