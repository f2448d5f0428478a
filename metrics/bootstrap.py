"""How much a score depends on the choice of test clips: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

RESAMPLES = 200
LEVEL = 0.95
MAX_WORK = 1e8  # probabilities in all resamples: some tens of seconds


class Evaluated(NamedTuple):
    """The test predictions of one training: (N, K) probabilities, (N, K) bool targets.

    `groups`, (N,): the number of each clip's group; None: each clip is one of its own. Trainings of
    one fold have the same clips in the same order.
    """

    fold: int
    probabilities: np.ndarray
    targets: np.ndarray
    groups: np.ndarray | None = None


class Groups(NamedTuple):
    """The groups of a fold: its clips by group, and where each group starts there, and its size."""

    clips: np.ndarray
    start: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, one: Evaluated) -> Groups:
        groups = np.arange(len(one.targets)) if one.groups is None else one.groups
        size = np.unique(groups, return_counts=True)[1]
        return cls(np.argsort(groups, kind="stable"), size.cumsum() - size, size)

    def sample(self, generator: np.random.Generator) -> np.ndarray:
        """The clips of as many groups as there are, with replacement."""
        drawn = generator.integers(0, len(self.size), len(self.size))
        if len(self.size) == len(self.clips):  # each group is one clip
            return drawn
        size = self.size[drawn]
        end = size.cumsum()
        return self.clips[np.arange(end[-1]) + np.repeat(self.start[drawn] - end + size, size)]


class Interval(NamedTuple):
    low: float
    high: float


def intervals(
    systems: Sequence[Sequence[Evaluated]],
    metric: Callable[[np.ndarray, np.ndarray], float],
    resamples: int = RESAMPLES,
) -> list[Interval]:
    """Percentile bootstrap over groups of clips, of each system's mean score over its seeds and
    folds: clips of one recording, place or sensor are alike.

    Resamples that leave the score undefined (NaN) are left out. NaN where a fold is one group.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; of groups:
    Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
    """
    return [percentiles(values) for values in resampled(systems, metric, resamples)]


def resampled(
    systems: Sequence[Sequence[Evaluated]],
    metric: Callable[[np.ndarray, np.ndarray], float],
    resamples: int = RESAMPLES,
) -> np.ndarray:
    """Mean scores over the seeds and folds, (systems, resamples).

    Groups are sampled with replacement within each fold; all seeds and systems share the samples,
    and so do further calls with the same groups in the same folds: the percentiles of a difference
    of two rows are a paired bootstrap, in which clips that are hard for both cancel.
    """
    scores = np.full((len(systems), resamples), np.nan)
    if one_group(systems):
        return scores
    groups = groups_of(systems)
    generator = np.random.default_rng(0)
    for number in range(resamples):
        rows = {fold: groups[fold].sample(generator) for fold in sorted(groups)}
        for place, trainings in enumerate(systems):
            values = [
                metric(one.probabilities[rows[one.fold]], one.targets[rows[one.fold]])
                for one in trainings
            ]
            scores[place, number] = np.mean(values)
    return scores


def groups_of(systems: Sequence[Sequence[Evaluated]]) -> dict[int, Groups]:
    """Of each fold."""
    first = {one.fold: one for trainings in systems for one in trainings}
    return {fold: Groups.of(one) for fold, one in first.items()}


def one_group(systems: Sequence[Sequence[Evaluated]]) -> bool:
    """Whether a fold has one group only, of which all samples are the same."""
    return any(len(fold.size) < 2 for fold in groups_of(systems).values())


def sampled(systems: Sequence[Sequence[Evaluated]]) -> Literal["clips", "groups"]:
    """What is sampled: groups, unless each is one clip."""
    alone = all((fold.size == 1).all() for fold in groups_of(systems).values())
    return "clips" if alone else "groups"


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
