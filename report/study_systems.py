"""The systems of a study: the variants of its trials, and which are chosen on validation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from report.choice import TIE, mean_of_all, validation_scores
from report.run import STUDENT


class TrialResults(NamedTuple):
    """A trial: the values of its searched keys, its state, and the folder of its run.

    error: of a failed one; variants: none where its settings are wrong.
    """

    number: int
    values: Mapping[str, str]
    state: str
    error: str
    run: Path
    variants: tuple[str, ...]

    @property
    def finished(self) -> bool:
        return self.state == "finished"


class TrialSystem(NamedTuple):
    """One row: a variant of a trial, and its headline scores by seed and fold."""

    trial: TrialResults
    variant: str
    validation: pd.Series  # NaN or empty where no validation clips chose the epoch
    test: pd.DataFrame

    @property
    def name(self) -> str:
        return f"{self.trial.number} {self.variant}".rstrip()

    @property
    def validated(self) -> float:
        """The mean; NaN where one of them is missing."""
        return mean_of_all(self.validation)


def systems_of(trial: TrialResults, metric: str) -> list[TrialSystem]:
    """Of an unfinished trial, without scores."""
    if not trial.finished:
        nothing = pd.Series(dtype=float), pd.DataFrame()
        return [TrialSystem(trial, variant, *nothing) for variant in trial.variants or ("",)]
    results = pd.read_csv(trial.run / "results.csv", keep_default_na=False, na_values=[""])
    found = results[(results["metric"] == metric) & (results["role"] == STUDENT)]
    return [
        TrialSystem(
            trial,
            variant,
            validation_scores(trial.run / STUDENT / variant),
            found[found["variant"] == variant],
        )
        for variant in trial.variants
    ]


def chosen(systems: Sequence[TrialSystem]) -> TrialSystem | None:
    """The highest mean validation score; of equal ones the first. None without any."""
    scores = [(system, system.validated) for system in systems]
    best = max((score for _, score in scores if not math.isnan(score)), default=math.nan)
    return next((system for system, score in scores if score > best - TIE), None)


def chosen_by_variant(systems: Sequence[TrialSystem]) -> list[TrialSystem]:
    """The best of all, then those of the other variants, in their order."""
    variants = dict.fromkeys(system.variant for system in systems)
    each = [chosen([one for one in systems if one.variant == variant]) for variant in variants]
    found = [one for one in each if one]
    return sorted(found, key=lambda one: one is not chosen(systems))
