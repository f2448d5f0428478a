"""Comparisons of a study: differences of test scores, with their statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from config import UserError
from metrics import METRICS
from metrics.bootstrap import (
    MAX_WORK,
    RESAMPLES,
    Evaluated,
    percentiles,
    resampled,
    sampled,
    work,
)
from report.effect import LEVEL as ALPHA
from report.effect import cohens_d, rank_biserial, seeds_missing
from report.run import Run
from report.sections.scores import evaluations
from report.significance import holm, signed_rank
from report.study_systems import TrialSystem
from report.table import fewest_losses, paired_gains


class Comparison(NamedTuple):
    """The test scores of a system minus those of another, paired by seed and fold (n pairs).

    low, high: bootstrap interval over what is `sampled`, test "clips" or their "groups"; p_holm:
    adjusted for all comparisons; seeds: to train beyond the present ones, see `report.effect`.
    """

    system: str
    reference: str
    n: int
    difference: float
    std: float
    low: float
    high: float
    p: float
    p_holm: float
    cohens_d: float
    rank_biserial: float
    seeds_missing: float
    sampled: str = "clips"


def reference_pairs(
    systems: Sequence[TrialSystem], method: str
) -> list[tuple[TrialSystem, TrialSystem]]:
    """(reference, system): the variants of a trial and its first one, that of labels alone if it
    has one. Where every trial of a grid has one variant: the first trial and each other.
    """
    finished = [system for system in systems if len(system.test)]
    trials: dict[int, list[TrialSystem]] = {}
    for system in sorted(finished, key=lambda one: fewest_losses(one.variant)):
        trials.setdefault(system.trial.number, []).append(system)
    if all(len(variants) == 1 for variants in trials.values()):
        return [(finished[0], one) for one in finished[1:]] if method == "grid" else []
    ordered = (trials[number] for number in sorted(trials))
    return [(first, one) for first, *others in ordered for one in others]


def comparisons(pairs: Sequence[tuple[TrialSystem, TrialSystem]]) -> list[Comparison]:
    gains = [paired_gains(first.test, second.test) for first, second in pairs]
    p_values = [signed_rank(one).p for one in gains]
    adjusted = holm(p_values)
    level = ALPHA / max(1, int(np.isfinite(p_values).sum()))
    scores = resamples(pairs)
    found = []
    for place, (first, second) in enumerate(pairs):
        own, before, after = gains[place], scores.get(first.name), scores.get(second.name)
        seeds = max(1, own.index.get_level_values("seed").nunique())
        found.append(
            Comparison(
                second.name,
                first.name,
                len(own),
                own.mean(),
                own.std(),
                *interval(before, after),
                p_values[place],
                float(adjusted[place]),
                cohens_d(own),
                rank_biserial(own),
                seeds_missing(own, seeds, level),
                after.sampled if after else "clips",
            )
        )
    return found


class Resampled(NamedTuple):
    """The scores of a system in all resamples, the test labels and groups, by which clips are
    paired, and what was sampled, clips or groups.
    """

    scores: np.ndarray
    labels: tuple[bytes, ...]
    sampled: str = "clips"


def resamples(pairs: Sequence[tuple[TrialSystem, TrialSystem]]) -> dict[str, Resampled]:
    """Of each system by its name. None where predictions or features are missing, or where they
    would take too long.
    """
    systems = {system.name: system for pair in pairs for system in pair}
    runs: dict[Path, Run] = {}
    try:
        found = {
            name: evaluated(runs.setdefault(one.trial.run, Run(one.trial.run)), one.variant)
            for name, one in systems.items()
        }
    except UserError:
        return {}
    if not found or work(list(found.values())) > MAX_WORK:
        return {}
    scored = {}
    for name, trainings in found.items():
        metric = metric_of(runs[systems[name].trial.run])
        (scores,) = resampled([trainings], metric, RESAMPLES)
        labels = tuple(
            b"" if part is None else part.tobytes()
            for one in trainings
            for part in (one.targets, one.groups)
        )
        scored[name] = Resampled(scores, labels, sampled([trainings]))
    return scored


def metric_of(run: Run) -> Callable[[np.ndarray, np.ndarray], float]:
    function, classes = METRICS[run.metric].function, run.table.classes
    return lambda probabilities, targets: function(probabilities, targets, classes)


def evaluated(run: Run, variant: str) -> list[Evaluated]:
    (system,) = (one for one in run.students if one.variant == variant)
    return evaluations(run, system)


def interval(before: Resampled | None, after: Resampled | None) -> tuple[float, float]:
    """Paired, in the same resamples; NaN where the clips are not the same."""
    if before is None or after is None or before.labels != after.labels:
        return math.nan, math.nan
    return percentiles(after.scores - before.scores)
