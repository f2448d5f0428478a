"""The page of a run: one HTML file that needs no network, with the sections below in their order.

The same run gives the same bytes. matplotlib and Jinja2 are imported by the functions that need
them, so that importing this module is fast.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from config import UserError
from data.atomic_write import write
from report.drawing import swatch
from report.run import Run
from report.section import Section, Text
from report.sections import (
    activations,
    clips,
    cost,
    groups,
    learning,
    mistakes,
    reliability,
    scores,
    settings,
    similarity,
)
from report.table import spread, title

HERE = Path(__file__).parent
MAX_NAMED = 64  # classes

SECTIONS: dict[str, Callable[[Run], Section]] = {
    "Learning curves": learning.section,
    "Errors": mistakes.section,
    "By class and by device": groups.section,
    "Calibration": reliability.section,
    "Similarity of clips": similarity.section,
    "Feature maps": activations.section,
    "Clips to listen to": clips.section,
}
"""Of one run, by the title that is used where a section cannot be made."""


def write_page(folders: Sequence[Path], own: Collection[str] = ()) -> Path:
    """runs/NAME/report.html, or comparison.html in the first of several; returns its path.

    `own`: the models file.py:function of the current configuration, which may be run.

    Raises UserError for a folder that is not a run, and for runs of different data or metrics.
    """
    path = folders[0] / ("report.html" if len(folders) == 1 else "comparison.html")
    write(path, page([Run(folder, own) for folder in folders]))
    return path


def page(runs: Sequence[Run]) -> str:
    import jinja2

    check_comparable(runs)
    first, several = runs[0], len(runs) > 1
    sections = [scores.section(runs), made("Accuracy and cost", cost.section, runs)]
    if several:
        sections.insert(1, settings.section(runs))
        sections.append(which_run(first, runs[1:]))
    sections += [made(name, make, first) for name, make in SECTIONS.items()]
    script = (HERE / "page.js").read_text("utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=page_title(runs),
        subtitle=subtitle(runs),
        summaries=[f"{run.name}: {summary(run)}" if several else summary(run) for run in runs],
        facts=facts(first),
        sections=sections,
        settings=first.config.to_ini(),
        swatch=swatch,
        style=(HERE / "page.css").read_text("utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def page_title(runs: Sequence[Run]) -> str:
    return " and ".join(run.name for run in runs) if len(runs) < 4 else f"{len(runs)} runs"


def subtitle(runs: Sequence[Run]) -> str:
    """Data set, metric and the day of the last training."""
    days = sorted({run.date.isoformat() for run in runs})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"{runs[0].config.data.dataset}, {runs[0].measured}, {when}"


def check_comparable(runs: Sequence[Run]) -> None:
    names = [run.name for run in runs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two of the runs are named {twice}; name each once")
    for run in runs[1:]:
        found = [f"{one.metric} on {one.config.data.dataset}" for one in (runs[0], run)]
        if found[0] != found[1]:
            both = f"{runs[0].name} and {run.name}"
            raise UserError(f"{both} are not comparable: {found[0]} and {found[1]}")


def made(name: str, make: Callable[[Any], Section], of: Any) -> Section:
    """The section, or the reason why it cannot be made."""
    try:
        return make(of)
    except UserError as error:
        return Section(name, [Text(f"Not shown: {error}.")])


def which_run(first: Run, others: Sequence[Run]) -> Section:
    rest = ", ".join(run.name for run in others)
    text = (
        f"The sections below show only {first.name}. `python -m report` with one folder makes a "
        f"page of each of the others: {rest}."
    )
    return Section(f"The run {first.name}", [Text(text)])


def summary(run: Run) -> str:
    """The scores of the chosen student, of its teacher and of the baseline, in sentences."""
    best, base, teacher = run.best, run.baseline, run.teacher
    if best is None:
        return "No student has been trained yet."
    own = run.scores(best)
    text = f"{run.choice}. The student {best.model} with {best.variant} has {run.measured} "
    text += spread(own["value"])
    if teacher:
        theirs = run.scores(teacher)
        text += f" (its teacher {spread(theirs['value'])}, with {times(theirs, own, 'parameters')} "
        text += f"the parameters and {times(theirs, own, 'macs')} the MACs)"
    text += "."
    if base and base != best:
        text += f" Trained with labels only ({base.variant}), the same student has "
        text += f"{spread(run.scores(base)['value'])}."
    return text


def times(large: pd.DataFrame, small: pd.DataFrame, column: str) -> str:
    return f"{large[column].mean() / small[column].mean():.3g} times"


def facts(run: Run) -> list[tuple[str, str]]:
    """Metric, data and versions."""
    facts = [("scores", title(run.results, run.metric))]
    try:
        clips = len(run.predictions(run.systems[0], run.seeds[0]).rows)
        facts.append(("clips", f"{len(run.table)}, {clips} of them test clips"))
        names = run.table.classes
        facts.append(("classes", ", ".join(names) if len(names) <= MAX_NAMED else str(len(names))))
    except UserError as error:
        facts.append(("clips", f"unknown: {error}"))
    versions = dict(run.origin)
    if commit := versions.pop("commit", ""):
        facts.append(("commit", commit))
    facts.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return facts
