"""The Markdown table of a study, from its comparisons.csv or study.csv."""

from __future__ import annotations

import pandas as pd

from report.choice import BEST
from report.study import about_comparisons, comparison_rows
from report.study_comparisons import Comparison
from report.study_picture import by_difference, finished, names_of
from report.table import as_markdown, spread_of


def study_markdown(scores: pd.DataFrame | None, compared: pd.DataFrame | None) -> str:
    """The comparisons, the largest difference first, with the values of the trials where `scores`
    has them; the scores where there are no comparisons.
    """
    if compared is not None and len(compared):
        return comparisons_markdown(by_difference(compared), scores)
    return scores_markdown(finished(scores)) if scores is not None else ""


def comparisons_markdown(compared: pd.DataFrame, scores: pd.DataFrame | None) -> str:
    names = names_of([*compared["reference"], *compared["system"]], scores)
    fields = [name for name in Comparison._fields if name in compared]  # `sampled` is a later one
    rows = [Comparison(*one) for one in compared[fields].itertuples(index=False, name=None)]
    rows = [one._replace(system=names[one.system], reference=names[one.reference]) for one in rows]
    pairs = {one.n for one in rows}
    n = f"; n = {pairs.pop()}" if len(pairs) == 1 else ""
    return f"{about_comparisons(rows)}{n}:\n\n{as_markdown(comparison_rows(rows))}"


def scores_markdown(scores: pd.DataFrame) -> str:
    """In the order of the trials, never of test scores."""
    systems = [f"{trial} {variant}" for trial, variant in scores[["trial", "variant"]].to_numpy()]
    names = names_of(systems, scores)
    best = scores["validation"].idxmax() if scores["validation"].notna().any() else None
    marks = ["" if row != best else " *" for row in scores.index]
    validation, test = (
        [spread_of(*pair) for pair in scores[[name, f"{name}_std"]].to_numpy(float)]
        for name in ("validation", "test")
    )
    named = [names[system] + mark for system, mark in zip(systems, marks, strict=True)]
    rows = zip(named, validation, test, map(str, scores["n"]), strict=True)
    chosen = f"; *: {BEST}" if best is not None else ""
    about = f"{scores['metric'].iloc[0]}, mean ± standard deviation over n seeds and folds{chosen}"
    return f"{about}:\n\n{as_markdown([['trial', 'validation', 'test', 'n'], *rows])}"
