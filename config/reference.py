"""Every section and key, as text for the terminal; docs/configuration.md is made from it, too."""

from __future__ import annotations

import shutil
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import Field
from typing import Any, Literal

from config.errors import choose
from config.fields import allowed_range, key_fields, to_text
from config.sections import LOSS, SECTIONS, Augment, Classes, Data, Ensembles, Matrix, Mel, Study

OF_MODEL = "options of the model: `python -m models NAME` lists them"
FURTHER_KEYS = {
    Classes: "a class of the data set and the set of the teacher's classes that it stands for, by "
    "their names, such as SIREN = Siren, Ambulance (siren); a comma can be part of a name, and "
    'quotes enclose one: "Chirp, tweet"',
    Data: "options of the data set: `python -m data NAME` lists them",
    Ensembles: "a system and its members, such as FUSION = teacher, 2 * student/kd; "
    "teacher@seeds: the teachers of all seeds, teacher@epochs: the mean of ENSEMBLE_START_EPOCH, "
    "logits/a.safetensors: a file of logits",
    Matrix: "a model and its settings, such as CNN = MODEL=efficientnet VARIANT=b0",
    Study: "a searched key and its values, such as STUDENT.LEARNING_RATE = 0.001 | 0.003; ranges, "
    "for random and optuna: 0.001 .. 0.1 log, and 1 .. 8 for whole numbers",
}
COEFFICIENTS = "weight of the loss in the sum, such as KD = 1.5"
LOSS_SECTIONS = "settings of one loss, such as [loss.kd]; docs/configuration.md lists them"
BY_ROLE = {
    Mel: "KEY_TEACHER, KEY_STUDENT: for one role, as in [mel.teacher] and [mel.student]",
    Augment: "KEY_TEACHER, KEY_SPECIALISTS, KEY_STUDENT: for the training of one role",
}


def overview() -> str:
    """One line per section."""
    rows = {name: summary(kind) for name, kind in SECTIONS.items() if "." not in name}
    rows["coefficients"], rows["loss.NAME"] = COEFFICIENTS, LOSS_SECTIONS
    lines = [f"{f'[{name}]':<16} {text}" for name, text in rows.items()]
    return "\n".join([*lines, "", "`python -m config SECTION` lists the keys of a section."])


def section_text(name: str) -> str:
    """The keys of one section, with default and meaning. ConfigError for an unknown section."""
    if name == "coefficients":
        return f"[coefficients]\n\nNAME = 1\n{indented(COEFFICIENTS)}"
    if name.startswith(LOSS):
        return f"[{name}]: {LOSS_SECTIONS}"
    kind = choose("SECTION", {**SECTIONS, "coefficients": None}, name)
    blocks = [f"[{name}]: {summary(kind)}"]
    for f, meaning in meanings(kind):
        blocks.append(
            f"{f.name.upper()} = {to_text(f.default)}".rstrip() + f"\n{indented(meaning)}"
        )
    if kind in BY_ROLE and "." not in name:
        blocks.append(f"…\n{indented(BY_ROLE[kind])}")
    if further := further_keys(kind):
        blocks.append(f"…\n{indented(further)}")
    return "\n".join(blocks)


def meanings(kind: type) -> Iterator[tuple[Field[Any], str]]:
    """Each key of a section and its meaning, with its range or choices."""
    hints = typing.get_type_hints(kind)
    for f in key_fields(kind).values():
        meaning = f.metadata["doc"]
        if f.metadata["low"] is not None:
            meaning += f" ({allowed_range(f)})"
        if typing.get_origin(hints[f.name]) is Literal:
            meaning += f" (one of {', '.join(typing.get_args(hints[f.name]))})"
        yield f, meaning


def further_keys(kind: type) -> str:
    """The meaning of the keys of a section that are no fields; empty where it has none."""
    return FURTHER_KEYS.get(kind, OF_MODEL) if "options" in typing.get_type_hints(kind) else ""


def summary(kind: type) -> str:
    """The first line of a section's docstring, without its name."""
    first = (kind.__doc__ or "").partition("\n")[0]
    return first.partition(": ")[2].rstrip(".:")


def indented(text: str) -> str:
    width = min(shutil.get_terminal_size().columns, 100)
    return textwrap.fill(
        text, width, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
    )
