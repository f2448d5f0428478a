"""The table of a study: one row per trial and variant, the choice on validation, comparisons.

runs/<NAME>/study.csv          the rows
runs/<NAME>/comparisons.csv    differences of test scores, with their statistics
runs/<NAME>/study.svg          the picture of one of them
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from config import UserError
from data.atomic_write import write
from metrics import METRICS
from metrics.bootstrap import LEVEL, MAX_WORK, RESAMPLES, Evaluated, percentiles, resampled, work
from report.choice import mean_of_all, validation_scores
from report.effect import LEVEL as ALPHA
from report.effect import POWER, cohens_d, rank_biserial, seeds_missing
from report.run import STUDENT, Run
from report.sections.scores import evaluations
from report.significance import holm, signed_rank
from report.study_picture import study_picture
from report.table import WIDTH, fewest_losses, fitted, paired_gains, signed, spread

NO_CHOICE = (
    "No trial is chosen: there are no validation scores, and test scores choose none. "
    "[data] HOLD_OUT above 0, or a validation split, gives some."
)
ABOUT_COMPARISONS = (
    f"Test scores minus those of a reference, paired by seed and fold; {LEVEL:.0%} interval: "
    "bootstrap over test clips; p: signed-rank test, adjusted for all rows (Holm); d: Cohen's d_z; "
    f"r: rank biserial; seeds: still missing for a power of {POWER:.0%}, if the observed effect is "
    "the true one"
)
EMPTY: dict[str, object] = dict.fromkeys(("validation", "validation_std", "test", "test_std"))


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


class System(NamedTuple):
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


class Comparison(NamedTuple):
    """The test scores of a system minus those of another, paired by seed and fold (n pairs).

    low, high: bootstrap interval over test clips; p_holm: adjusted for all comparisons; seeds: to
    train beyond the present ones, see `report.effect`.
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


def write_study(
    folder: Path, trials: Sequence[TrialResults], metric: str, method: str, compare: bool = True
) -> str:
    """Writes study.csv and, to `compare`, comparisons.csv and study.svg; returns the text to print.

    There is no study.svg where the tables have nothing to draw, see `report.study_picture`.
    """
    systems = [system for trial in trials for system in systems_of(trial, metric)]
    compared = comparisons(reference_pairs(systems, method)) if compare else []
    rows = pd.DataFrame([row_of(system, metric) for system in systems])
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "study.csv", rows.to_csv(index=False))
    if compare:
        table_of_all = pd.DataFrame(compared, columns=Comparison._fields)
        write(folder / "comparisons.csv", table_of_all.to_csv(index=False))
        if drawn := study_picture(rows, table_of_all):
            write(folder / "study.svg", drawn)
        else:
            (folder / "study.svg").unlink(missing_ok=True)
    return "\n".join(["", fitted(table(systems, metric), WIDTH), *remarks(systems, compared)])


def systems_of(trial: TrialResults, metric: str) -> list[System]:
    """Of an unfinished trial, without scores."""
    if not trial.finished:
        nothing = pd.Series(dtype=float), pd.DataFrame()
        return [System(trial, variant, *nothing) for variant in trial.variants or ("",)]
    results = pd.read_csv(trial.run / "results.csv", keep_default_na=False, na_values=[""])
    found = results[(results["metric"] == metric) & (results["role"] == STUDENT)]
    return [
        System(
            trial,
            variant,
            validation_scores(trial.run / STUDENT / variant),
            found[found["variant"] == variant],
        )
        for variant in trial.variants
    ]


def row_of(system: System, metric: str) -> dict[str, object]:
    trial, scores = system.trial, EMPTY
    n, seconds = len(system.test), math.nan
    if n:
        value, seconds = system.test["value"], system.test["seconds"].sum()
        validation_std = system.validation.std() if not math.isnan(system.validated) else math.nan
        scores = {
            "validation": system.validated,
            "validation_std": validation_std,
            "test": value.mean(),
            "test_std": value.std(),
        }
    return {
        **{"trial": trial.number, "run": trial.run.name, **trial.values},
        **{"variant": system.variant, "state": trial.state, "metric": metric, **scores},
        **{"n": n, "seconds": seconds, "error": trial.error},
    }


# The choice ---------------------------------------------------------------------------------------


def chosen(systems: Sequence[System]) -> System | None:
    """The highest mean validation score; of equal ones the first. None without any."""
    scored = [system for system in systems if not math.isnan(system.validated)]
    return max(scored, key=lambda system: system.validated, default=None)


def chosen_by_variant(systems: Sequence[System]) -> list[System]:
    """The best of all, then those of the other variants, in their order."""
    variants = dict.fromkeys(system.variant for system in systems)
    each = [chosen([one for one in systems if one.variant == variant]) for variant in variants]
    found = [one for one in each if one]
    return sorted(found, key=lambda one: one is not chosen(systems))


# Comparisons --------------------------------------------------------------------------------------


def reference_pairs(systems: Sequence[System], method: str) -> list[tuple[System, System]]:
    """(reference, system): the variants of a trial and its first one, that of labels alone if it
    has one. Where every trial of a grid has one variant: the first trial and each other.
    """
    finished = [system for system in systems if len(system.test)]
    trials: dict[int, list[System]] = {}
    for system in sorted(finished, key=lambda one: fewest_losses(one.variant)):
        trials.setdefault(system.trial.number, []).append(system)
    if all(len(variants) == 1 for variants in trials.values()):
        return [(finished[0], one) for one in finished[1:]] if method == "grid" else []
    ordered = (trials[number] for number in sorted(trials))
    return [(first, one) for first, *others in ordered for one in others]


def comparisons(pairs: Sequence[tuple[System, System]]) -> list[Comparison]:
    gains = [paired_gains(first.test, second.test) for first, second in pairs]
    p_values = [signed_rank(one).p for one in gains]
    adjusted = holm(p_values)
    level = ALPHA / max(1, int(np.isfinite(p_values).sum()))
    sampled = resamples(pairs)
    found = []
    for place, (first, second) in enumerate(pairs):
        own = gains[place]
        seeds = max(1, own.index.get_level_values("seed").nunique())
        found.append(
            Comparison(
                second.name,
                first.name,
                len(own),
                own.mean(),
                own.std(),
                *interval(sampled.get(first.name), sampled.get(second.name)),
                p_values[place],
                float(adjusted[place]),
                cohens_d(own),
                rank_biserial(own),
                seeds_missing(own, seeds, level),
            )
        )
    return found


class Resampled(NamedTuple):
    """The scores of a system in all resamples, and the test labels, by which clips are paired."""

    scores: np.ndarray
    labels: tuple[bytes, ...]


def resamples(pairs: Sequence[tuple[System, System]]) -> dict[str, Resampled]:
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
    sampled = {}
    for name, trainings in found.items():
        metric = metric_of(runs[systems[name].trial.run])
        (scores,) = resampled([trainings], metric, RESAMPLES)
        labels = tuple(one.targets.tobytes() for one in trainings)
        sampled[name] = Resampled(scores, labels)
    return sampled


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


# Text ---------------------------------------------------------------------------------------------


def table(systems: Sequence[System], metric: str) -> list[list[str]]:
    """In the order of the trials, never of test scores."""
    rows = [["trial", "validation", f"test {metric}", "n"]]
    best = chosen(systems)
    for system in systems:
        values = ", ".join(f"{short(key)}={text}" for key, text in system.trial.values.items())
        name = " ".join(filter(None, (str(system.trial.number), values, system.variant)))
        if not len(system.test):
            rows.append([name, system.trial.state, "-", "0"])
            continue
        known = not math.isnan(system.validated)
        validation = spread(system.validation) if known else "-"
        mark = " *" if system is best else ""
        test = spread(system.test["value"])
        rows.append([name + mark, validation, test, str(len(system.test))])
    return rows


def short(key: str) -> str:
    return key.rpartition(".")[2]


def remarks(systems: Sequence[System], compared: Sequence[Comparison]) -> list[str]:
    lines = []
    for trial in dict.fromkeys(one.trial.number for one in systems if one.trial.error):
        error = next(one.trial.error for one in systems if one.trial.number == trial)
        lines.append(f"trial {trial} failed: {error}")
    finished = [system for system in systems if len(system.test)]
    for system in chosen_by_variant(finished):
        values = ", ".join(f"{key}={text}" for key, text in system.trial.values.items())
        what = f"chosen on validation: {system.trial.run}, {values}, {system.variant}"
        lines.append(f"{what}; on test {spread(system.test['value'])}")
    if finished and not chosen(finished):
        lines += textwrap.wrap(NO_CHOICE, WIDTH)
    if compared:
        about = textwrap.wrap(ABOUT_COMPARISONS, WIDTH)
        lines += ["", *about, fitted(comparison_rows(compared), WIDTH)]
    return ["", *lines] if lines else []


def comparison_rows(compared: Sequence[Comparison]) -> list[list[str]]:
    rows = [["comparison", "difference", "interval", "p", "d", "r", "seeds"]]
    for one in compared:
        rows.append(
            [
                f"{one.system} - {one.reference}",
                signed(one.difference, math.nan),
                "-" if math.isnan(one.low) else f"{one.low:+.4f} to {one.high:+.4f}",
                *(number(value) for value in (one.p_holm, one.cohens_d, one.rank_biserial)),
                number(one.seeds_missing),
            ]
        )
    return rows


def number(value: float) -> str:
    return f"{value:.2g}" if math.isfinite(value) and abs(value) < 1000 else "-"
