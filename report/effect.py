"""How large a paired difference is, and how many runs would show it."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

LEVEL, POWER = 0.05, 0.8
WILCOXON_EFFICIENCY = 3 / math.pi  # of the signed-rank test against the t-test, normal differences


def cohens_d(differences: ArrayLike) -> float:
    """d_z: the mean of paired differences in units of their standard deviation (n - 1).

    NaN for fewer than two pairs and where all are equal, as then nothing varies.

    Source: Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, section 2.3.5.
    """
    found = np.asarray(differences, np.float64)
    if len(found) < 2 or np.ptp(found) < 1e-12:
        return float("nan")
    return float(found.mean() / found.std(ddof=1))


def rank_biserial(differences: ArrayLike) -> float:
    r"""Matched-pairs rank biserial correlation: -1 where all pairs lose, 1 where all gain.

    .. math:: r = \frac{W_+ - W_-}{W_+ + W_-}

    W are the rank sums of the signed-rank test, which leaves pairs without a difference out; NaN
    where there are no others.

    Source: Kerby, Comprehensive Psychology 3, 2014.
    """
    found = np.asarray(differences, np.float64)
    moved = found[np.abs(found) > 1e-12]
    if not moved.size:
        return float("nan")
    ranks = rankdata(np.abs(moved).round(12))
    return float((ranks * np.sign(moved)).sum() / ranks.sum())


def runs_needed(effect: float, level: float = LEVEL, power: float = POWER) -> float:
    r"""Pairs with which the two-sided signed-rank test at `level` finds an effect d_z with `power`.

    .. math:: n = \frac{\pi}{3} \left(\left(\frac{z_{1-\alpha/2} + z_{power}}{d_z}\right)^2
              + \frac{z_{1-\alpha/2}^2}{2}\right), \quad n \ge 1 - \log_2 \alpha

    The sum is that of the paired t-test; 3 / pi is the efficiency of the signed-rank test against
    it for normal differences; with fewer than the lower bound no p is below the level. Infinite for
    no effect, NaN for an unknown one. It takes the observed effect for the true one and the pairs
    for independent.

    Source: Guenther, The American Statistician 35, 1981; Lehmann, Nonparametrics, 1975, chapter 4.
    """
    if math.isnan(effect):
        return float("nan")
    if effect == 0:
        return float("inf")
    quantile = NormalDist().inv_cdf
    z, z_power = quantile(1 - level / 2), quantile(power)
    t_test = ((z + z_power) / effect) ** 2 + z**2 / 2
    return float(math.ceil(max(t_test / WILCOXON_EFFICIENCY, 1 - math.log2(level))))


def seeds_missing(
    differences: ArrayLike, seeds: int, level: float = LEVEL, power: float = POWER
) -> float:
    """Seeds to train beyond the present `seeds`, each with as many pairs (folds) as these have.

    See `runs_needed`: 0 where there are enough, infinite for no effect, NaN for an unknown one.
    """
    needed = runs_needed(cohens_d(differences), level, power)
    if not math.isfinite(needed):
        return needed
    folds = np.size(differences) / seeds
    return float(max(0, math.ceil(needed / folds) - seeds))
