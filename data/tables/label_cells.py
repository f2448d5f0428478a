"""The labels of a clip in one cell of a table: `dog;rain`, with soft targets `dog=0.7;rain=0.3`."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping

from config import Task, UserError

TOLERANCE = 0.01  # of the sum of the soft targets of one label
OTHER_SEPARATORS = re.compile("[,|/]")


def read_labels(where: str, text: str, task: Task) -> dict[str, float]:
    """Class -> target; 1 where none is given. Raises UserError that names the line, `where`."""
    labels: dict[str, float] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, target = read_target(where, part)
        if labels.setdefault(name, target) != target:
            raise UserError(f"{where}: found {name!r} with two targets, {text!r}")
    if task == "multi_label" or not labels:
        return labels
    if len(labels) > 1 and all(target == 1 for target in labels.values()):
        raise UserError(
            f"{where}: found {len(labels)} labels, {text!r}; expected one (or data.task = "
            "multi_label)"
        )
    if abs((total := sum(labels.values())) - 1) > TOLERANCE:
        raise UserError(f"{where}: found targets {text!r}, which sum to {total:g}, expected 1")
    return labels


def read_target(where: str, part: str) -> tuple[str, float]:
    """`dog=0.7` -> ("dog", 0.7), `dog` -> ("dog", 1.0); a name may itself contain `=`."""
    name, _, number = part.rpartition("=")
    try:
        target = float(number)
    except ValueError:
        return part, 1.0
    if not name.strip():
        return part, 1.0
    if not 0 <= target <= 1 or math.isnan(target):
        raise UserError(f"{where}: found {part!r}, expected a target from 0 to 1")
    return name.strip(), target


def is_soft(labels: Mapping[str, float] | None) -> bool:
    return labels is not None and not {0.0, 1.0}.issuperset(labels.values())


def check_separators(lines: Mapping[str, str], known: Collection[str]) -> None:
    """Raises UserError for `dog,animal`: labels separated by something else than `;`.

    `lines` are the labels and where each is first found, `known` the classes that are given. A
    label such as `Chime, bell` is one class, unless both parts are labels of their own.
    """
    for label, where in lines.items():
        parts = [part.strip() for part in OTHER_SEPARATORS.split(label)]
        if label in known or len(parts) < 2:
            continue
        if re.search(r",\S", label) or all(part in lines or part in known for part in parts):
            raise UserError(
                f"{where}: found the label {label!r}; labels are separated by ';': "
                f"{';'.join(parts)!r}. If it is one class, set [data] CLASSES to a classes.json "
                "that contains it"
            )
