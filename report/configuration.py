"""The configuration reference: every section's keys; every model's, data set's, loss's options."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from config import SECTIONS, to_text
from config.options import OF_DATA
from config.reference import meanings, summary
from config.sections.loss import LOSS
from data.datasets import DATASETS
from losses import LOSSES
from losses.loss import GIVEN
from models import MODELS

GROUPS = (  # sections with the same keys share a table
    ("data",),
    ("mel", "mel.teacher", "mel.student"),
    ("teacher", "student"),
    ("classes",),
    ("specialists",),
    ("distillation",),
    ("augment", "augment.teacher", "augment.specialists", "augment.student"),
    ("ensembles",),
    ("matrix",),
    ("study",),
    ("quantisation",),
    ("budget",),
    ("run",),
)
NOTES = {
    "data": "Further keys are the [options of the data set](#data-set-options).",
    "mel": "A key of `[mel]` with the suffix `_TEACHER` or `_STUDENT` applies to that role only, "
    "as do the keys of `[mel.teacher]` and `[mel.student]`.",
    "teacher": "Further keys are the [options of the model](#model-options).",
    "classes": "Each key is a class of the data set, its value the names of one or more classes of "
    "the teacher. [Transfer](transfer.md#a-teacher-of-other-classes) has an example.",
    "augment": "A key of `[augment]` with the suffix `_TEACHER`, `_SPECIALISTS` or `_STUDENT` "
    "applies to the training of that role only.",
    "ensembles": "Each further key names an ensemble and lists its members with optional weights, "
    "such as `FUSION = teacher, 2 * student/kd`. [Ensembles](ensembles.md) lists the kinds of "
    "members.",
    "study": "Each further key is a searched one with its values, such as "
    "`STUDENT.LEARNING_RATE = 0.001 | 0.003`. [Studies](studies.md) describes them.",
    "matrix": "Each further key names a model, such as `CNN = MODEL=efficientnet VARIANT=b0`.",
}
COEFFICIENTS = (
    "## [coefficients]\n\nThe weight of each loss in the sum, by its name, such as `KD = 1.5`. "
    "The default is 1."
)
LOSS_SECTIONS = (
    "## [loss.NAME]\n\nThe settings of one loss, such as `[loss.kd]`: its [options](#loss-options)."
)
HEAD = ("", "| key | default | meaning |", "| --- | --- | --- |")
OPTIONS_BLOCK = re.compile(r"^Options?:[ ]*\n((?:[ ]+.*\n|\n)*)", re.MULTILINE)
OPTION = re.compile(r"^(\w+(?:, \w+)*):[ ]+(.*(?:\n[ ]+.*)*)", re.MULTILINE)


@dataclass
class Key:
    """A row of a table: the key, its default in each section that has it, and its meaning."""

    name: str
    meaning: str
    defaults: dict[str, str] = field(default_factory=dict)

    def cells(self, sections: Sequence[str]) -> str:
        first, *others = dict.fromkeys(self.defaults.values())
        shown = [code(first)]
        for other in others:
            (section, *_) = (name for name, text in self.defaults.items() if text == other)
            shown.append(f"{code(other)} in `[{section}]`")
        meaning = self.meaning
        if len(self.defaults) < len(sections):
            meaning += f" (`[{next(iter(self.defaults))}]` only)"
        return f"| `{self.name}` | {'; '.join(shown)} | {meaning} |"


def code(text: str) -> str:
    return f"`{text}`" if text else "empty"


def as_cell(text: str) -> str:
    """Text in which Markdown and HTML find nothing to interpret."""
    for character, entity in (("<", "&lt;"), ("|", "&#124;"), ("*", "&#42;")):
        text = text.replace(character, entity)
    return " ".join(text.split())


def configuration() -> str:
    """The page as Markdown, without its title."""
    sections = [section_table(names) for names in GROUPS]
    sections.insert(1 + GROUPS.index(("distillation",)), f"{COEFFICIENTS}\n\n{LOSS_SECTIONS}")
    return "\n\n".join(
        [
            *sections,
            "## Model options",
            "Keys of `[teacher]` and `[student]` by `MODEL`; see [Models](models.md).",
            *(options_table(name, model) for name, model in sorted(MODELS.items())),
            "## Data set options",
            "Keys of `[data]` by `DATASET`; see [Data sets](datasets.md).",
            *(options_table(name, data) for name, data in sorted(DATASETS.items())),
            "## Loss options",
            "Keys of `[loss.NAME]`; see [Losses](losses.md).",
            *(options_table(f"{LOSS}{name}", loss) for name, loss in sorted(LOSSES.items())),
        ]
    )


def section_table(names: Sequence[str]) -> str:
    """The keys of sections that share a table, under a heading that lists them."""
    keys: dict[str, Key] = {}
    for name in names:
        for f, meaning in meanings(SECTIONS[name]):
            key = keys.setdefault(f.name, Key(f.name.upper(), as_cell(meaning)))
            key.defaults[name] = to_text(f.default)
    about = as_cell(summary(SECTIONS[names[0]]))
    lines = [f"## {', '.join(f'[{name}]' for name in names)}"]
    lines += ["", f"{about[0].upper()}{about[1:]}."]
    lines += ["", NOTES[names[0]]] if names[0] in NOTES else []
    head = HEAD if keys else ()
    return "\n".join([*lines, *head, *(key.cells(names) for key in keys.values())])


def options(constructor: Callable[..., Any]) -> list[inspect.Parameter]:
    """The keyword-only parameters of a constructor that are keys of the INI file."""
    given = GIVEN if constructor in LOSSES.values() else OF_DATA
    return [
        p
        for p in inspect.signature(constructor).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name not in given
    ]


def option_names(constructors: Mapping[str, Callable[..., Any]] | None = None) -> set[str]:
    """The options of these constructors, by default of all models, data sets and losses."""
    if constructors is None:
        constructors = {**MODELS, **DATASETS, **LOSSES}
    return {p.name for constructor in constructors.values() for p in options(constructor)}


def options_table(name: str, constructor: Callable[..., Any]) -> str:
    """The options of a constructor under a heading."""
    found = options(constructor)
    if not found:
        return f"### {name}\n\nNo options."
    initialise = constructor.__init__ if inspect.isclass(constructor) else constructor
    hints = typing.get_type_hints(initialise)
    documented = documented_options(constructor)
    rows = []
    for p in found:
        meaning = documented.get(p.name, "")
        if typing.get_origin(hints.get(p.name)) is Literal:
            choices = ", ".join(map(str, typing.get_args(hints[p.name])))
            meaning = f"{meaning} (one of {choices})".strip()
        cells = [f"`{p.name.upper()}`", code(to_text(p.default)), as_cell(meaning)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([f"### {name}", *HEAD, *rows])


def documented_options(constructor: Callable[..., Any]) -> dict[str, str]:
    """Option -> meaning, from the lines `name: meaning` in the docstring's block `Options:`."""
    block = OPTIONS_BLOCK.search((inspect.getdoc(constructor) or "") + "\n")
    lines = inspect.cleandoc("\n" + block[1]) if block else ""
    return {
        name: " ".join(meaning.split())
        for names, meaning in OPTION.findall(lines)
        for name in names.split(", ")
    }
