"""The table on the screen, made from results.csv: a row a system, a column a variant."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pandas as pd

from losses.mix import uses_teacher

UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def show(results: pd.DataFrame, headline: str) -> None:
    print(render(results, headline))


def render(results: pd.DataFrame, headline: str) -> str:
    return "\n".join(["", title(results, headline), aligned(table_rows(results, headline))])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """For a screen: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    )


def markdown(results: pd.DataFrame, headline: str) -> str:
    return f"{title(results, headline)}:\n\n{as_markdown(table_rows(results, headline))}"


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *others = ("| " + " | ".join(row) + " |" for row in rows)
    ruler = "| --- |" + " ---: |" * (head.count("|") - 2)
    return "\n".join([head, ruler, *others])


def table_rows(results: pd.DataFrame, headline: str) -> list[list[str]]:
    """Mean ± standard deviation of the headline figure, and the gain over labels alone.

    The gain is paired: the same seed and fold with and without a teacher.
    """
    found = results[results["metric"] == headline]
    variants = sorted(dict.fromkeys(found["variant"]), key=fewest_losses)
    rows = [["system", *variants, "parameters", "MACs"]]
    systems = found.groupby(["role", "model"], sort=False)
    for (role, model), group in sorted(systems, key=lambda system: place(system[0][0])):
        scores = {variant: group[group["variant"] == variant] for variant in variants}
        sizes = [with_unit(group["parameters"].iloc[0]), with_unit(group["macs"].iloc[0])]
        rows.append(
            [f"{role} {model}", *(spread(part["value"]) for part in scores.values()), *sizes]
        )
        base = next((v for v in variants if not uses_teacher(v) and len(scores[v])), None)
        if base and len(group) > len(scores[base]):
            gains = [gain(scores[base], part) if v != base else "" for v, part in scores.items()]
            rows.append([f"gain over {base}", *gains, "", ""])
    return rows


def fewest_losses(variant: str) -> tuple[bool, int]:
    """Orders variants: labels alone first, then few losses before many."""
    return uses_teacher(variant), variant.count("+")


def place(role: str) -> tuple[int, str]:
    """Orders roles: the teacher, its specialists, ensembles, students."""
    first = re.split("[_@]", role)[0]
    return {"teacher": 0, "specialist": 1, "student": 3}.get(first, 2), role


def title(results: pd.DataFrame, headline: str) -> str:
    found = results[results["metric"] == headline]
    data = ", ".join(sorted(set(found["dataset"])))
    splits = sorted(set(found["split"]))
    seeds, folds = found["seed"].nunique(), found["fold"].nunique()
    chosen = sorted(set(found["epoch_chosen_on"]))
    over = f"{seeds} seed{'s' * (seeds > 1)}" + (f" x {folds} folds" if folds > 1 else "")
    where = splits[0] if len(splits) == 1 else f"{splits[0]} to {splits[-1]}"
    kept = ", ".join(map(choice, chosen))
    return f"{headline} on {data}, {where}; {kept}; mean ± standard deviation over {over}"


def choice(chosen_on: str) -> str:
    """Which weights were kept, in words, of what results.csv says in epoch_chosen_on."""
    if chosen_on == "none":
        return "the last epoch kept"
    return chosen_on if chosen_on.startswith("mean of") else f"epoch chosen on {chosen_on}"


def spread(values: pd.Series) -> str:
    if values.empty:
        return "-"
    if len(values) == 1:
        return f"{values.iloc[0]:.4f}"
    return f"{values.mean():.4f} ± {values.std():.4f}"


def gain(base: pd.DataFrame, other: pd.DataFrame) -> str:
    paired = paired_gains(base, other)
    return "-" if paired.empty else signed(paired.mean(), paired.std())


def signed(mean: float, std: float, digits: int = 4) -> str:
    """A mean gain; one value alone has no std."""
    spread = "" if math.isnan(std) else f" ± {std:.{digits}f}"
    return f"{mean:+.{digits}f}{spread}"


def paired_gains(base: pd.DataFrame, other: pd.DataFrame) -> pd.Series:
    """Other less base, of each seed and fold that both have."""
    keys = ["seed", "fold"]
    return (other.set_index(keys)["value"] - base.set_index(keys)["value"]).dropna()


def with_unit(number: float) -> str:
    for size, unit in UNITS:
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"
