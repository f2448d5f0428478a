"""A Markdown table of several runs: the score of one role in each, and its gain over the first."""

from __future__ import annotations

import pandas as pd

from report.significance import NAME, all_in_words, signed_rank
from report.table import as_markdown, gain, paired_gains, spread, title


def runs_markdown(results: pd.DataFrame, metric: str, role: str) -> str:
    """`results`: the rows of several results.csv, with a column `run`."""
    found = results[(results["metric"] == metric) & (results["role"] == role)]
    runs = {str(name): part for name, part in found.groupby("run", sort=False)}
    first, *others = runs
    tests = all_in_words([signed_rank(paired_gains(runs[first], runs[name])) for name in others])
    rows = [["run", metric, f"gain over {first}", "significance"]]
    rows.append([first, spread(runs[first]["value"]), "", ""])
    for name, test in zip(others, tests, strict=True):
        score = spread(runs[name]["value"])
        rows.append([name, score, gain(runs[first], runs[name]), test])
    return f"{role}, {title(found, metric)}; {NAME}, by seed and fold:\n\n{as_markdown(rows)}"
