"""The configuration reference: every section's keys, every model's and every data set's options."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from config import SECTIONS
from config.fields import allowed_range, key_fields, to_text
from data.datasets import DATASETS
from models import MODELS

GROUPS = (  # sections with the same keys share a table
    ("data",),
    ("mel", "mel.teacher", "mel.student"),
    ("teacher", "student"),
    ("specialists",),
    ("distillation",),
    ("augment", "augment.teacher", "augment.specialists", "augment.student"),
    ("ensembles",),
    ("matrix",),
    ("quantisation",),
    ("budget",),
    ("run",),
)
NOTES = {
    "data": "Further keys are the [options of the data set](#data-set-options).",
    "mel": "A key of `[mel]` with the suffix `_TEACHER` or `_STUDENT` applies to that role only, "
    "as do the keys of `[mel.teacher]` and `[mel.student]`.",
    "teacher": "Further keys are the [options of the model](#model-options).",
    "augment": "A key of `[augment]` with the suffix `_TEACHER`, `_SPECIALISTS` or `_STUDENT` "
    "applies to the training of that role only.",
    "ensembles": "Each further key names an ensemble and lists its members with optional weights, "
    "such as `FUSION = teacher, 2 * student/kd`. [Ensembles](ensembles.md) lists the kinds of "
    "members.",
    "matrix": "Each further key names a model, such as `CNN = MODEL=efficientnet VARIANT=b0`.",
}
COEFFICIENTS = (
    "## [coefficients]\n\nThe weight of each loss in the sum, by its name, such as `KD = 1.5`. "
    "The default is 1."
)
DATA_DECIDES = ("num_classes", "input_shape")  # parameters that are no options
OPTIONS_BLOCK = re.compile(r"^Options?:[ ]*\n((?:[ ]+.*\n|\n)*)", re.MULTILINE)
OPTION = re.compile(r"^(\w+):[ ]+(.*(?:\n[ ]+.*)*)", re.MULTILINE)


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
    sections.insert(1 + GROUPS.index(("distillation",)), COEFFICIENTS)
    return "\n\n".join(
        [
            *sections,
            "## Model options",
            "Keys of `[teacher]` and `[student]` by `MODEL`; see [Models](models.md).",
            *(options_table(name, model) for name, model in sorted(MODELS.items())),
            "## Data set options",
            "Keys of `[data]` by `DATASET`; see [Data sets](datasets.md).",
            *(options_table(name, data) for name, data in sorted(DATASETS.items())),
        ]
    )


def section_table(names: Sequence[str]) -> str:
    """The keys of sections that share a table, under a heading that lists them."""
    kind = SECTIONS[names[0]]
    keys: dict[str, Key] = {}
    for name in names:
        hints = typing.get_type_hints(SECTIONS[name])
        for f in key_fields(SECTIONS[name]).values():
            limits = allowed_range(f) if has_range(f.metadata) else ""
            meaning = with_limits(f.metadata["doc"], hints[f.name], limits)
            found = keys.setdefault(f.name, Key(f.name.upper(), meaning))
            found.defaults[name] = to_text(f.default)
    about = (inspect.getdoc(kind) or "").partition("\n")[0]
    about = re.sub(r"^(\[[\w.]+\](, | and )?)+:? *", "", about)
    lines = [f"## {', '.join(f'[{name}]' for name in names)}"]
    lines += ["", sentence(about)] if about else []
    lines += ["", NOTES[names[0]]] if names[0] in NOTES else []
    head = ["", "| key | default | meaning |", "| --- | --- | --- |"]
    return "\n".join([*lines, *head, *(key.cells(names) for key in keys.values())])


def sentence(text: str) -> str:
    text = as_cell(text)
    return f"{text[0].upper()}{text[1:].rstrip('.:')}."


def has_range(metadata: Mapping[str, Any]) -> bool:
    return metadata["low"] is not None or metadata["high"] is not None


def with_limits(meaning: str, hint: Any, limits: str = "") -> str:
    text = as_cell(meaning)
    if choices := list(literals(hint)):
        limits = f"one of {', '.join(f'`{choice}`' for choice in choices)}"
    return f"{text} ({limits})".strip() if limits else text


def literals(hint: Any) -> tuple[str, ...]:
    """The choices of a Literal, alone or in a tuple of any length."""
    if typing.get_origin(hint) is tuple:
        hint = typing.get_args(hint)[0]
    return typing.get_args(hint) if typing.get_origin(hint) is Literal else ()


def options(constructor: Callable[..., Any]) -> list[inspect.Parameter]:
    """The keyword-only parameters of a constructor that are keys of the INI file."""
    return [
        p
        for p in inspect.signature(constructor).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name not in DATA_DECIDES
    ]


def option_names(constructors: Mapping[str, Callable[..., Any]] | None = None) -> set[str]:
    """The options of these constructors, by default of all models and data sets."""
    if constructors is None:
        constructors = {**MODELS, **DATASETS}
    return {p.name for constructor in constructors.values() for p in options(constructor)}


def options_table(name: str, constructor: Callable[..., Any]) -> str:
    """The options of a constructor under a heading."""
    initialise = constructor.__init__ if inspect.isclass(constructor) else constructor
    hints = typing.get_type_hints(initialise)
    meanings = documented_options(constructor)
    rows = [
        f"| `{p.name.upper()}` | {code(to_text(p.default))} | "
        f"{with_limits(meanings.get(p.name, ''), hints.get(p.name))} |"
        for p in options(constructor)
    ]
    if not rows:
        return f"### {name}\n\nNo options."
    return "\n".join(
        [f"### {name}", "", "| key | default | meaning |", "| --- | --- | --- |", *rows]
    )


def documented_options(constructor: Callable[..., Any]) -> dict[str, str]:
    """Option -> meaning, from the block `Options:` of the docstring, one `name: meaning` each."""
    block = OPTIONS_BLOCK.search((inspect.getdoc(constructor) or "") + "\n")
    lines = inspect.cleandoc("\n" + block[1]) if block else ""
    return {found[1]: " ".join(found[2].split()) for found in OPTION.finditer(lines)}
