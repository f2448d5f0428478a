"""The variant to show first and to export: chosen by validation scores, never by test scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from data.checksums import read_finished

BEST = "best validation score"  # of the trials of a study
BEST_VARIANT = "Best variant on validation"
ONLY = "The only trained variant"
LAST = "The last of VARIANTS, as there are no validation scores"
TIE = 1e-9  # scores that differ by less are equal: sums are rounded
NO_VALIDATION = ("none", "the test split")  # of epoch_chosen_on


class Choice(NamedTuple):
    variant: str
    rule: str  # why this one

    def __str__(self) -> str:
        return f"{self.rule}: {self.variant}"


def choose_variant(run: Path, variants: Sequence[str]) -> Choice:
    """The variant with the highest mean validation score over the seeds and folds that all have.

    Only variants with a finished training take part; of equal ones the first wins. Without
    validation scores (HOLD_OUT = 0, SWA, epochs chosen on the test split) it is the last one.
    """
    found = {variant: validation_scores(run / "student" / variant) for variant in variants}
    trained = [variant for variant, scores in found.items() if len(scores)]
    if len(trained) < 2:
        return Choice(trained[0], ONLY) if trained else Choice(variants[-1], LAST)
    scores = pd.DataFrame({variant: found[variant] for variant in trained}).dropna()
    if scores.empty:
        return Choice(trained[-1], LAST)
    means = scores.mean()
    return Choice(str((means > means.max() - TIE).idxmax()), BEST_VARIANT)


def mean_of_all(scores: pd.Series) -> float:
    """Of `validation_scores`; NaN where a training has none."""
    return float(scores.mean(skipna=False)) if len(scores) else float("nan")


def validation_scores(folder: Path) -> pd.Series:
    """Of each finished training of a variant, by (seed, fold); higher is better."""
    paths = sorted(folder.glob("seed_*/fold_*/metrics.json"))
    return pd.Series({path.parts[-3:-1]: validation_score(path) for path in paths}, dtype=float)


def validation_score(path: Path) -> float:
    """At the epoch whose weights were kept; NaN where no validation clips chose it.

    `path` is a metrics.json, with history.csv in the same folder. Raises UserError for a damaged
    file.
    """
    metrics = read_finished(path, f"remove {path.parent} and train it again", ["history.csv"])
    chosen_on: str = metrics["epoch_chosen_on"]
    history = pd.read_csv(path.with_name("history.csv"))
    scores = history.loc[history["epoch"] == metrics.get("kept_epoch"), "score"]
    if chosen_on in NO_VALIDATION or chosen_on.startswith("mean of") or scores.empty:
        return float("nan")
    return float(scores.iloc[0])
