"""The picture of a study: differences from a reference, or scores over a searched number.

It is drawn from the tables that `report.study` writes, also from committed ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from metrics.bootstrap import LEVEL
from report.choice import BEST
from report.drawing import (
    INK,
    LOOKS,
    MUTED,
    PAPER,
    colour,
    margin_for,
    marker,
    picture,
    shortened,
    standalone,
)
from report.effect import LEVEL as ALPHA
from report.significance import p_in_words
from report.table import with_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEXTS = ("run", "variant", "state", "metric", "error", "system", "reference")  # columns
LONGEST = 48  # characters of a name
PLOT, P_VALUES, ROW = 300, 74, 18  # px: width of the axes, of the column of p, height of a row
DODGE, SPREAD = 4, 24  # px between the lines at one value; between the first and the last
MOST_TICKS, TICKS_APART = 8, 0.1  # at the values themselves; of the axis


def study_picture(scores: pd.DataFrame | None, compared: pd.DataFrame | None) -> str | None:
    """A standalone SVG of study.csv and comparisons.csv: scores over the one searched key that is
    a number, else the comparisons; None where there is neither.
    """
    over_number = None if scores is None or scores.empty else curves(scores)
    if over_number or compared is None:
        return over_number
    return forest(compared, scores)


def read(path: Path) -> pd.DataFrame:
    """study.csv or comparisons.csv; the values of searched keys are texts, as in the settings."""
    names = map(str, pd.read_csv(path, nrows=0))
    texts = dict.fromkeys((name for name in names if name in TEXTS or "." in name), str)
    table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])
    return table.fillna(dict.fromkeys(texts, ""))


# Names --------------------------------------------------------------------------------------------


def finished(scores: pd.DataFrame) -> pd.DataFrame:
    return scores[scores["n"] > 0]


def searched(scores: pd.DataFrame) -> list[str]:
    """The keys that have several values."""
    return [name for name in map(str, scores) if "." in name and scores[name].nunique() > 1]


def number_of(scores: pd.DataFrame) -> str | None:
    """The searched key whose values are numbers; None where there is none, or several."""
    rows = finished(scores)
    found = [key for key in searched(rows) if np.isfinite(numbers(rows[key])).all()]
    return found[0] if len(found) == 1 else None


def numbers(values: pd.Series) -> pd.Series:
    """Of texts; NaN where one is no number."""
    return pd.to_numeric(values, errors="coerce").astype(float)


def names_of(systems: Iterable[str], scores: pd.DataFrame | None = None) -> dict[str, str]:
    """`2 ce+kd` of comparisons.csv -> `model=passt, ce+kd`, with the values of the trial where
    study.csv has them, else `trial 2, ce+kd`; only what differs between the systems.
    """
    parts = {system: system.partition(" ")[::2] for system in systems}
    trials = {trial for trial, _ in parts.values()}
    rows = {}
    if scores is not None:
        known = scores[scores["trial"].astype(str).isin(trials)]
        rows = {str(trial): own.iloc[0] for trial, own in known.groupby("trial")}
    one_variant = len({variant for _, variant in parts.values()}) == 1
    found = {}
    for system, (trial, variant) in parts.items():
        values = [f"trial {trial}"] * (len(trials) > 1)
        if values and trial in rows:
            values = values_of(rows[trial], searched(known), variant)
        found[system] = ", ".join(values if values and one_variant else [*values, variant])
    return found


def values_of(row: pd.Series, keys: Sequence[str], variant: str) -> list[str]:
    """Of these keys in a row of study.csv, but for the one that is the variant itself."""
    return [f"{key.rpartition('.')[2]}={row[key]}" for key in keys if row[key] != variant]


def variant_of(system: str) -> str:
    return system.partition(" ")[2]


def looks_of(variants: Iterable[str]) -> dict[str, int]:
    """The number of their colours, as on the page of a run: from few losses to many."""
    ordered = sorted(dict.fromkeys(variants), key=lambda variant: variant.count("+"))
    return {variant: look for look, variant in enumerate(ordered, start=1)}


def room_for(names: Sequence[str]) -> int:
    """Width in pixels; names of losses have many wide letters."""
    return round(1.1 * margin_for(names, LONGEST))


def measured(scores: pd.DataFrame | None) -> str:
    return "test score" if scores is None else f"test {scores['metric'].iloc[0]}"


def alone(
    name: str,
    draw: Callable[[Axes], None],
    title: str,
    height: int,
    left: int,
    right: int,
    bottom: int = 40,
) -> str:
    """A standalone SVG of one picture, with axes of the width PLOT."""
    panel = picture(
        name,
        draw,
        title=title,
        width=left + PLOT + right,
        height=height,
        left=left,
        right=right,
        bottom=bottom,
    )
    return standalone([panel], height)


# Differences --------------------------------------------------------------------------------------


class Difference(NamedTuple):
    """Of a row of comparisons.csv; p_holm: adjusted for all rows."""

    system: str
    difference: float
    low: float
    high: float
    p_holm: float
    n: int

    @property
    def significant(self) -> bool:
        return self.p_holm < ALPHA

    @property
    def p_in_words(self) -> str:
        return "n = 1" if self.n == 1 else p_in_words(self.p_holm)


def by_difference(compared: pd.DataFrame) -> pd.DataFrame:
    """The largest first; without those that have no pairs."""
    known = compared[compared["difference"].notna()]
    return known.sort_values("difference", ascending=False, kind="stable")


def forest(compared: pd.DataFrame, scores: pd.DataFrame | None = None) -> str | None:
    """A standalone SVG of comparisons.csv; None where it has no row. `scores`: study.csv, which
    has the values of the trials and the metric.
    """
    table = by_difference(compared)
    if table.empty:
        return None
    systems = [*table["reference"], *table["system"]]
    names, looks = names_of(systems, scores), looks_of(map(variant_of, systems))
    found = table[list(Difference._fields)].itertuples(index=False, name=None)
    rows = [Difference(*one) for one in found]
    labels = [names[row.system] for row in rows]
    clips = "groups of test clips" if "groups" in set(table.get("sampled", ())) else "test clips"
    interval = f", and {LEVEL:.0%} interval over {clips}" if table["low"].notna().any() else ""
    about = f"difference{interval}\nfilled: p < {ALPHA}, signed-rank, adjusted (Holm)"

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        axes.axvline(0, color=MUTED, lw=1)
        for place, row in enumerate(rows):
            shade = colour(looks[variant_of(row.system)])
            axes.plot([row.low, row.high], [place, place], color=shade)
            inside = shade if row.significant else PAPER
            axes.plot(row.difference, place, "o", color=shade, mfc=inside, ms=7)
            axes.annotate(
                row.p_in_words,
                (1, place),
                xycoords=("axes fraction", "data"),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                color=INK if row.significant else MUTED,
            )
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), [shortened(label, LONGEST) for label in labels])
        axes.tick_params("y", labelcolor=INK)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.06)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel(about, x=0, ha="left", linespacing=1.5)

    left, bottom = room_for(labels), 56
    height = 24 + len(rows) * ROW + bottom
    title = f"{measured(scores)} minus that of {reference_of(table, names)}"
    return alone("forest", draw, title, height, left, P_VALUES, bottom=bottom)


def reference_of(compared: pd.DataFrame, names: dict[str, str]) -> str:
    """In words: the one of all rows, or that of each trial."""
    references = compared["reference"].unique()
    if len(references) == 1:
        return names[references[0]]
    variants = set(map(variant_of, references))
    return f"{variants.pop()} in the same trial" if len(variants) == 1 else "the first of the trial"


# Scores over a number -----------------------------------------------------------------------------


class Curve(NamedTuple):
    """The rows of study.csv of one line, with `x`, the values of the searched number."""

    name: str
    rows: pd.DataFrame
    look: int
    shape: str


def curves(scores: pd.DataFrame) -> str | None:
    """A standalone SVG of study.csv: test scores over `number_of` it, one line per variant and
    setting of the other keys; None where it has no such number.
    """
    key = number_of(scores)
    if key is None:
        return None
    rows = finished(scores)
    best = rows["validation"].idxmax() if rows["validation"].notna().any() else None
    rows = rows.assign(x=numbers(rows[key])).sort_values("x", kind="stable")
    lines = lines_of(rows, [other for other in searched(rows) if other != key])
    x = np.unique(rows["x"])
    step = min(DODGE, SPREAD / len(lines)) / PLOT

    def draw(axes: Axes) -> None:
        if on_log_axis(x):
            axes.set_xscale("log")
        drawn, rings = [], []
        for place, (name, own, look, shape) in enumerate(lines):
            shown = own.assign(x=beside(own["x"], x, step * (place - (len(lines) - 1) / 2)))
            line = axes.errorbar(
                shown["x"],
                shown["test"],
                shown["test_std"].fillna(0),
                color=colour(look),
                marker=shape,
                ms=6,
                elinewidth=1,
                capsize=2.5,
                label=shortened(name, LONGEST),
            )
            drawn.append(line)
            ring = shown[shown.index == best]
            if len(ring):
                rings += axes.plot(
                    ring["x"], ring["test"], "o", mfc="none", mec=INK, ms=13, mew=1, label=BEST
                )
        set_ticks(axes, x)
        axes.margins(x=0.08, y=0.08)
        axes.set(xlabel=key, ylabel=measured(scores))
        axes.legend(
            handles=[*drawn, *rings],
            loc="upper left",
            bbox_to_anchor=(1.02, 1.02),
            frameon=False,
            labelcolor=INK,
            handlelength=1.6,
        )

    left, right = 58, 44 + room_for([*(line.name for line in lines), BEST])
    height = max(260, 80 + ROW * (len(lines) + 1))
    title = f"{measured(scores)} over {key}, mean ± standard deviation"
    return alone("curves", draw, title, height, left, right)


def lines_of(rows: pd.DataFrame, others: Sequence[str]) -> list[Curve]:
    """The best at its last value first, as in the picture."""
    looks = looks_of(rows["variant"])
    shapes: dict[tuple[str, ...], int] = {}
    found = []
    for key, own in rows.groupby([*others, "variant"], sort=False):
        *values, variant = map(str, key)
        shape = shapes.setdefault(tuple(values), len(shapes)) + looks[variant] // LOOKS
        name = ", ".join([*values_of(own.iloc[0], others, variant), variant])
        found.append(Curve(name, own, looks[variant], marker(1 + shape)))
    return sorted(found, key=lambda line: -line.rows["test"].iloc[-1])


def on_log_axis(x: np.ndarray) -> bool:
    """Where the values span more than a decade."""
    return bool(x[0] > 0 and x[-1] > 10.001 * x[0])


def beside(values: pd.Series, x: np.ndarray, aside: float) -> Any:
    """Moved by a share of the axis."""
    return values * (x[-1] / x[0]) ** aside if on_log_axis(x) else values + np.ptp(x) * aside


def set_ticks(axes: Axes, x: np.ndarray) -> None:
    """At the values, where they are few, but not too near one another."""
    from matplotlib.ticker import FuncFormatter

    axes.minorticks_off()
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: with_unit(value)))
    if len(x) > MOST_TICKS:
        return
    places = np.log(x) if on_log_axis(x) else x
    ticks = [len(x) - 1]
    for place in range(len(x) - 1)[::-1]:
        if places[ticks[-1]] - places[place] >= TICKS_APART * np.ptp(places):
            ticks.append(place)
    axes.set_xticks(x[ticks])
