"""The page of a run: one file, without a network, made of the sections below in their order.

The same run gives the same bytes. matplotlib and Jinja2 are imported by the functions that draw and
fill, so that importing this module costs little.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
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
    similarity,
)
from report.table import spread, title

HERE = Path(__file__).parent
NAMED = 64  # classes

SECTIONS: dict[str, Callable[[Run], Section]] = {
    "Learning curves": learning.section,
    "Mistakes": mistakes.section,
    "By class and by device": groups.section,
    "Calibration": reliability.section,
    "Similarity of clips": similarity.section,
    "Where the models look": activations.section,
    "Clips to listen to": clips.section,
}
"""Of one run, by the title that stands where a section cannot be made."""


def write_page(folders: Sequence[Path]) -> Path:
    """runs/NAME/report.html, or comparison.html beside the first of several; returns its path.

    Raises UserError for a folder that is no run, and for runs without a figure in common.
    """
    path = folders[0] / ("report.html" if len(folders) == 1 else "comparison.html")
    write(path, page([Run(folder) for folder in folders]))
    return path


def page(runs: Sequence[Run]) -> str:
    import jinja2

    check_comparable(runs)
    first, several = runs[0], len(runs) > 1
    sections = [scores.section(runs), made("Accuracy and cost", cost.section, runs)]
    if several:
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
        title=" and ".join(run.name for run in runs) if len(runs) < 4 else f"{len(runs)} runs",
        summaries=[f"{run.name}: {summary(run)}" if several else summary(run) for run in runs],
        facts=facts(first),
        sections=sections,
        settings=first.config.to_ini(),
        swatch=swatch,
        style=(HERE / "page.css").read_text("utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )


def check_comparable(runs: Sequence[Run]) -> None:
    names = [run.name for run in runs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two of the runs have the name {twice}; want each once")
    for run in runs[1:]:
        asked = [(one.metric, one.config.data.dataset) for one in (runs[0], run)]
        if asked[0] != asked[1]:
            shown = " and ".join(f"{metric} on {dataset}" for metric, dataset in asked)
            raise UserError(f"{runs[0].name} and {run.name} have no figure in common: {shown}")


def made(name: str, make: Callable[[Any], Section], of: Any) -> Section:
    """The section, or, where something that it wants is not there, the sentence that says so."""
    try:
        return make(of)
    except UserError as error:
        return Section(name, [Text(f"Not shown: {error}.")])


def which_run(first: Run, others: Sequence[Run]) -> Section:
    rest = ", ".join(run.name for run in others)
    text = f"The rest of this page shows {first.name} alone; {rest} can have a page of their own."
    return Section(f"The run {first.name}", [Text(text)])


def summary(run: Run) -> str:
    """What came of it, in a sentence or two."""
    best, base, teacher = run.best, run.baseline, run.teacher
    if best is None:
        return "No student has been trained yet."
    own = run.scores(best)
    text = f"The student {best.model} with {best.variant} reaches {run.metric} "
    text += spread(own["value"])
    if teacher:
        theirs = run.scores(teacher)
        text += f" (its teacher {spread(theirs['value'])}, with {times(theirs, own, 'parameters')} "
        text += f"the parameters and {times(theirs, own, 'macs')} the MACs)"
    text += "."
    if base and base != best:
        text += f" The same student on labels alone reaches {spread(run.scores(base)['value'])}."
    return text


def times(large: pd.DataFrame, small: pd.DataFrame, column: str) -> str:
    return f"{large[column].mean() / small[column].mean():.3g} times"


def facts(run: Run) -> list[tuple[str, str]]:
    """What was measured, where, how often and with what."""
    facts = [("measured", title(run.results, run.metric))]
    try:
        clips = len(run.judged(run.systems[0], run.seeds[0]).rows)
        facts.append(("clips", f"{len(run.table)}, of which {clips} are reported"))
        names = run.table.classes
        facts.append(("classes", ", ".join(names) if len(names) <= NAMED else str(len(names))))
    except UserError as error:
        facts.append(("clips", f"not counted: {error}"))
    versions = dict(run.origin)
    if commit := versions.pop("commit", ""):
        facts.append(("commit", commit))
    facts.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return facts
