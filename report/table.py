"""Tables of a run, made from results.csv: for the terminal, and in Markdown."""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from data.tables.splits import AGREEMENT
from losses.mix import uses_teacher
from metrics import sign

UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
WIDTH = 80  # columns of a terminal


class Row(NamedTuple):
    """One system: a role and a model with one variant; scores by seed and fold."""

    role: str
    model: str
    variant: str
    scores: pd.DataFrame
    base: pd.DataFrame | None  # of the same model trained with labels only, where this one is not


def show(results: pd.DataFrame, headline: str, order: Sequence[str] = ()) -> None:
    print(render(results, headline, order))


def render(results: pd.DataFrame, headline: str, order: Sequence[str] = ()) -> str:
    """At most WIDTH columns wide: one row per system, long names on several lines. `order`: of the
    variants.
    """
    head = textwrap.fill(title(results, headline), WIDTH)
    return "\n".join(["", head, "", fitted(terminal_rows(results, headline, order), WIDTH)])


def terminal_rows(
    results: pd.DataFrame, headline: str, order: Sequence[str] = ()
) -> list[list[str]]:
    """Score, gain, n, parameters and MACs. Variants of one model are indented below its name,
    which is a row without further cells.
    """
    systems = system_rows(results, headline, order)
    models = Counter((one.role, one.model) for one in systems)
    rows = [["system", "score", gain_title(systems), "n", "params", "MACs"]]
    for one in systems:
        name = f"{one.role} {one.model}"
        if models[one.role, one.model] > 1:
            rows += [[name]] * ([name] not in rows)
            name = f"  {one.variant}"
        gained = "" if one.base is None else gain(one.base, one.scores)
        sizes = [with_unit(one.scores[column].iloc[0]) for column in ("parameters", "macs")]
        scores = one.scores["value"]
        rows.append([name, spread(scores), gained, str(len(scores)), *sizes])
    return rows


def system_rows(results: pd.DataFrame, headline: str, order: Sequence[str] = ()) -> list[Row]:
    """Teacher, specialists, ensembles, students; of each the variants in this order, then others
    from few losses to many.
    """
    places = {variant: place for place, variant in enumerate(order)}
    found = results[results["metric"] == headline]
    rows = []
    for role, model, group in by_model(found):
        scores = {str(name): part for name, part in group.groupby("variant", sort=False)}
        variants = sorted(scores, key=fewest_losses)
        base = variants[0] if not uses_teacher(variants[0]) else None
        for variant in sorted(variants, key=lambda name: places.get(name, len(places))):
            with_base = None if base in (None, variant) else scores[base]
            rows.append(Row(role, model, variant, scores[variant], with_base))
    return rows


def by_model(results: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Role, model and their rows: teacher, specialists, ensembles, students."""
    groups = results.groupby(["role", "model"], sort=False)
    found = [(str(role), str(model), rows) for (role, model), rows in groups]
    return sorted(found, key=lambda one: place(one[0]))


def gain_title(rows: Sequence[Row]) -> str:
    """`gain over bce`, where all gains are over the same losses."""
    bases = {variant for row in rows if row.base is not None for variant in row.base["variant"]}
    return f"gain over {bases.pop()}" if len(bases) == 1 else "gain"


def fitted(rows: Sequence[Sequence[str]], width: int) -> str:
    """`aligned`, with names on several lines where the rows are longer than `width`. Rows of one
    cell are headings.
    """
    columns = list(zip(*(row[1:] for row in rows if len(row) > 1), strict=True))
    room = width - sum(2 + max(map(len, column)) for column in columns)
    lines: list[list[str]] = []
    for name, *cells in rows:
        indent = " " * (len(name) - len(name.lstrip()) + 2)
        first, *rest = textwrap.wrap(name, room if cells else width, subsequent_indent=indent)
        lines += [[first, *cells], *([part] for part in rest)]
    widths = [max(len(line[0]) for line in lines if len(line) > 1)]
    widths += [max(map(len, column)) for column in columns]
    return "\n".join(line_of(line, widths) for line in lines)


def line_of(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    return "  ".join([first, *map(str.rjust, cells[1:], widths[1:])]).rstrip()


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """For a terminal: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(line_of(row, widths) for row in rows)


def markdown(results: pd.DataFrame, headline: str) -> str:
    return f"{title(results, headline)}:\n\n{as_markdown(table_rows(results, headline))}"


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *others = ("| " + " | ".join(row) + " |" for row in rows)
    ruler = "| --- |" + " ---: |" * (head.count("|") - 2)
    return "\n".join([head, ruler, *others])


def table_rows(results: pd.DataFrame, headline: str) -> list[list[str]]:
    """For Markdown: one row per system, one column per variant, and below it the paired gain.

    Mean ± standard deviation; a gain compares the same seed and fold with and without a teacher.
    """
    found = results[results["metric"] == headline]
    variants = sorted(dict.fromkeys(found["variant"]), key=fewest_losses)
    rows = [["system", *variants, "parameters", "MACs"]]
    for role, model, group in by_model(found):
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
    """Sort key of variants: those without a teacher first, then few losses before many."""
    return uses_teacher(variant), variant.count("+")


def place(role: str) -> tuple[int, str]:
    """Sort key of roles: the teacher, its specialists, ensembles, students."""
    first = re.split("[_@]", role)[0]
    return {"teacher": 0, "specialist": 1, "student": 3}.get(first, 2), role


def title(results: pd.DataFrame, headline: str) -> str:
    found = results[results["metric"] == headline]
    data = ", ".join(sorted(set(found["dataset"])))
    seeds, folds = found["seed"].nunique(), found["fold"].nunique()
    chosen = sorted(set(found["epoch_chosen_on"]) - {"none"}) or ["none"]
    over = f"{seeds} seed{'s' * (seeds > 1)}" + (f" x {folds} folds" if folds > 1 else "")
    kept = ", ".join(map(choice, chosen))
    what, where = measured(results, headline), evaluated_on(found)
    return f"{what} on {data}, {where}; {kept}; mean ± standard deviation over {over}"


def evaluated_on(results: pd.DataFrame) -> str:
    """`test`, `fold 1 to fold 5`, or each of them where folds between are missing."""
    found = results[["fold", "split"]].drop_duplicates().sort_values("fold")
    names = list(found["split"].str.removesuffix(f", {AGREEMENT}").drop_duplicates())
    if 1 < len(names) == found["fold"].max() - found["fold"].min() + 1:
        return f"{names[0]} to {names[-1]}"
    return ", ".join(names)


def measured(results: pd.DataFrame, headline: str) -> str:
    """`accuracy`, or `agreement with the teacher (accuracy)` where test clips have no labels."""
    splits = results.loc[results["metric"] == headline, "split"]
    return f"{AGREEMENT} ({headline})" if splits.str.endswith(AGREEMENT).any() else headline


def choice(chosen_on: str) -> str:
    """Which weights were kept, in words; `chosen_on` is epoch_chosen_on of results.csv."""
    if chosen_on == "none":
        return "the last epoch kept"
    return chosen_on if chosen_on.startswith("mean of") else f"epoch chosen on {chosen_on}"


def spread(values: pd.Series) -> str:
    return "-" if values.empty else spread_of(values.mean(), values.std())


def spread_of(mean: float, std: float) -> str:
    """Without a standard deviation where it is NaN (one value)."""
    if math.isnan(mean):
        return "-"
    return f"{mean:.4f}" if math.isnan(std) else f"{mean:.4f} ± {std:.4f}"


def gain(base: pd.DataFrame, other: pd.DataFrame) -> str:
    """Above zero where `other` is better."""
    paired = paired_gains(base, other)
    if paired.empty:
        return "-"
    return signed(sign(base["metric"].iloc[0]) * paired.mean(), paired.std())


def signed(mean: float, std: float, digits: int = 4) -> str:
    """A mean gain, without a standard deviation where it is NaN (one value)."""
    spread = "" if math.isnan(std) else f" ± {std:.{digits}f}"
    return f"{mean:+z.{digits}f}{spread}"


def paired_gains(base: pd.DataFrame, other: pd.DataFrame) -> pd.Series:
    """other - base, for each seed and fold that both have."""
    keys = ["seed", "fold"]
    return (other.set_index(keys)["value"] - base.set_index(keys)["value"]).dropna()


def with_unit(number: float) -> str:
    for size, unit in UNITS:
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"
