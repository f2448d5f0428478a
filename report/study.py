"""The table of a study: one row per trial and variant, the choice on validation, comparisons.

runs/<NAME>/study.csv          the rows
runs/<NAME>/comparisons.csv    differences of test scores, with their statistics
runs/<NAME>/study.svg          the picture of one of them
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from data.atomic_write import write
from metrics.bootstrap import LEVEL
from report.effect import POWER
from report.study_comparisons import Comparison, comparisons, reference_pairs
from report.study_picture import study_picture
from report.study_systems import TrialResults, TrialSystem, chosen, chosen_by_variant, systems_of
from report.table import WIDTH, fitted, signed, spread

NO_CHOICE = (
    "No trial is chosen: there are no validation scores, and test scores choose none. "
    "[data] HOLD_OUT above 0, or a validation split, gives some."
)
EMPTY: dict[str, object] = dict.fromkeys(("validation", "validation_std", "test", "test_std"))


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


def row_of(system: TrialSystem, metric: str) -> dict[str, object]:
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
        "trial": trial.number,
        "run": trial.run.name,
        **trial.values,
        "variant": system.variant,
        "state": trial.state,
        "metric": metric,
        **scores,
        "n": n,
        "seconds": seconds,
        "error": trial.error,
    }


def table(systems: Sequence[TrialSystem], metric: str) -> list[list[str]]:
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


def remarks(systems: Sequence[TrialSystem], compared: Sequence[Comparison]) -> list[str]:
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
        about = textwrap.wrap(about_comparisons(compared), WIDTH)
        lines += ["", *about, fitted(comparison_rows(compared), WIDTH)]
    return ["", *lines] if lines else []


def about_comparisons(compared: Sequence[Comparison]) -> str:
    grouped = any(one.sampled == "groups" for one in compared)
    clips = "groups of test clips" if grouped else "test clips"
    return (
        f"Test scores minus those of a reference, paired by seed and fold; {LEVEL:.0%} interval: "
        f"bootstrap over {clips}; p: signed-rank test, adjusted for all rows (Holm); d: Cohen's "
        f"d_z; r: rank biserial; seeds: still missing for a power of {POWER:.0%}, if the observed "
        "effect is the true one"
    )


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
