"""Could a gain be chance? The Wilcoxon signed-rank test, exact for any number of pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

NAME = "Wilcoxon signed-rank test, two-sided, exact"


class SignedRank(NamedTuple):
    """p and the least p that so many pairs that differ can give; NaN where none differs."""

    pairs: int
    equal: int  # pairs without a difference, which the test leaves out
    p: float
    least_p: float


def signed_rank(differences: ArrayLike) -> SignedRank:
    r"""How often signs by the toss of a coin would give rank sums as uneven as these, or more.

    .. math:: W = \sum_{d_i > 0} R_i, \quad
              p = P\left(\lvert W - \tfrac12 \textstyle\sum R \rvert \ge \text{observed}\right)

    R are the ranks of the absolute differences that are not 0, equal ones sharing their mean rank.
    All 2^n signs are counted, not approximated. (n = 3 cannot give less than p = 0.25.)

    Source: Wilcoxon, Biometrics Bulletin 1, 1945.
    Shapes: (pairs,), differences of a seed and fold with and without.
    """
    found = np.asarray(differences, np.float64)
    moved = found[np.abs(found) > 1e-12]  # what is equal in print may differ in the last bit
    if not moved.size:
        return SignedRank(len(found), len(found), np.nan, np.nan)
    # Scores of counted clips tie, but for rounding. Of equal ones all have their mean rank, and
    # twice that is the first of their ranks and the last.
    _, place, alike = np.unique(np.abs(moved).round(12), return_inverse=True, return_counts=True)
    last = alike.cumsum()
    doubled = (2 * last - alike + 1)[place]
    ways = np.zeros(doubled.sum() + 1)  # of the signs that give each rank sum, in shares
    ways[0] = 1
    for rank in doubled:
        ways = (ways + np.concatenate([np.zeros(rank), ways[:-rank]])) / 2
    uneven = np.abs(2 * np.arange(len(ways)) - doubled.sum())
    p = ways[uneven >= uneven[doubled[moved > 0].sum()]].sum()
    return SignedRank(len(found), len(found) - len(moved), float(p), 2.0 ** (1 - len(moved)))


def in_words(test: SignedRank) -> str:
    """`p = 0.031, n = 15`; where there is nothing to test, that."""
    if test.pairs == 1:
        return "n = 1, not tested"
    if np.isnan(test.p):
        return f"no difference, n = {test.pairs}"
    shown = f"p = {test.p:.2g}" if test.p >= 0.001 else "p < 0.001"
    return f"{shown}, n = {test.pairs}"
