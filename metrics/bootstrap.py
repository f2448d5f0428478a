"""How much a score depends on the choice of test clips: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 200
LEVEL = 0.95
MAX_WORK = 1e8  # probabilities in all resamples: some tens of seconds


class Evaluated(NamedTuple):
    """The test predictions of one training: (N, K) probabilities, (N, K) bool targets.

    Trainings of one fold have the same clips in the same order.
    """

    fold: int
    probabilities: np.ndarray
    targets: np.ndarray


class Interval(NamedTuple):
    low: float
    high: float


def intervals(
    systems: Sequence[Sequence[Evaluated]],
    metric: Callable[[np.ndarray, np.ndarray], float],
    resamples: int = RESAMPLES,
) -> list[Interval]:
    """Percentile bootstrap over clips, of each system's mean score over its seeds and folds.

    Resamples that leave the score undefined (NaN) are left out.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    return [percentiles(values) for values in resampled(systems, metric, resamples)]


def resampled(
    systems: Sequence[Sequence[Evaluated]],
    metric: Callable[[np.ndarray, np.ndarray], float],
    resamples: int = RESAMPLES,
) -> np.ndarray:
    """Mean scores over the seeds and folds, (systems, resamples).

    Clips are sampled with replacement within each fold; all seeds and systems share the samples,
    and so do further calls with as many clips in the same folds: the percentiles of a difference of
    two rows are a paired bootstrap, in which clips that are hard for both cancel.
    """
    clips = {one.fold: len(one.targets) for trainings in systems for one in trainings}
    scores = np.empty((len(systems), resamples))
    generator = np.random.default_rng(0)
    for number in range(resamples):
        rows = {fold: generator.integers(0, clips[fold], clips[fold]) for fold in sorted(clips)}
        for place, trainings in enumerate(systems):
            values = [
                metric(one.probabilities[rows[one.fold]], one.targets[rows[one.fold]])
                for one in trainings
            ]
            scores[place, number] = np.mean(values)
    return scores


def work(systems: Sequence[Sequence[Evaluated]], resamples: int = RESAMPLES) -> int:
    """Probabilities to evaluate."""
    return resamples * sum(one.targets.size for trainings in systems for one in trainings)


def percentiles(values: np.ndarray) -> Interval:
    """Observed values, not interpolated: d' may be infinite."""
    defined = values[~np.isnan(values)]
    if not defined.size:
        return Interval(np.nan, np.nan)
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    return Interval(*map(float, np.quantile(defined, tails, method="inverted_cdf")))
