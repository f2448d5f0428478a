"""A teacher of other classes that is used as it is: how the user's classes are found among its."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import nn

from config import Config, ConfigError, RoleSettings, Task, nearest
from config.pretrained import PRETRAINED
from data.tables.clips import ClipTable
from models.class_map import ClassMap
from models.class_names import class_names
from models.stored import find_description
from training.class_order import difference
from training.role import TEACHER, Role
from training.role_settings import INIT_STUDENT, INIT_TEACHER


class Known(NamedTuple):
    """The classes of a model by their names, and the outputs that each stands for."""

    key: str  # that errors name: init or model
    source: str  # such as INIT = yamnet
    classes: tuple[str, ...]
    class_map: ClassMap


def one_each(classes: int, task: Task) -> ClassMap:
    return ClassMap(tuple((k,) for k in range(classes)), classes, task)


def classes_of_init(init: str, path: Path | None) -> Known | None:
    """Those of a published model by its name, or of the weights of a training at `path`.

    None where they are not known: other files have no names, and weights from ImageNet none of
    sounds.
    """
    if init in PRETRAINED:
        if not PRETRAINED[init].has_classifier:
            return None
        names = class_names(init)
        return Known("init", f"INIT = {init}", names, one_each(len(names), "multi_label"))
    if path is None or not (found := find_description(path)):
        return None
    class_map = found.class_map or one_each(len(found.classes), found.task)
    return Known("init", str(path), found.classes, class_map)


def classes_of_module(model: nn.Module, task: Task) -> Known | None:
    """Those in the attribute `classes` of a user's own model; `task` is that of the data set."""
    names = getattr(model, "classes", None)
    if names is None:
        return None
    class_map = one_each(len(names), getattr(model, "task", None) or task)
    return Known("model", "a model", tuple(names), class_map)


def find_class_map(
    config: Config, role: Role, settings: RoleSettings, table: ClipTable, known: Known | None
) -> ClassMap | None:
    """For a teacher that is used as it is: by [classes] or, without it, by the same names.

    None for a model whose outputs are those of the table's classes, and for any that is trained.
    Raises ConfigError for classes that are not found, and for a model of other classes that is
    trained.
    """
    as_it_is = role == TEACHER and settings.is_used_as_it_is
    if known is None:
        if as_it_is and config.classes.options:
            raise ConfigError(
                "[classes]",
                "requires a teacher with class names: INIT by the name of a published model or a "
                "finished training, or a model of your own with `classes` of Adapted",
            )
        return None
    if not as_it_is:
        if settings.load_classifier:
            check_trained(role, settings, known, table)
        return None
    if config.classes.options:
        sets = config.classes.sets(table.classes, known.classes)
    else:
        sets = same_names(f"[{role.features}] {known.key}", known, table.classes)
    found = known.class_map.compose(sets)
    if found == one_each(len(table.classes), table.task):
        return None
    if table.task == "multi_label" and found.task == "single_label":
        for name, one in zip(table.classes, found.sets, strict=True):
            if len(one) == found.outputs:
                message = "contains all of the teacher's classes, one of which is always present"
                raise ConfigError(f"[classes] {name.lower()}", message)
    return found


def same_names(where: str, known: Known, classes: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """For each class the teacher's of its name. Raises ConfigError that names `where`."""
    for name in classes:
        if name not in known.classes:
            raise ConfigError(
                where,
                f"found {known.source} of {len(known.classes)} classes, without "
                f"{name!r}{nearest(name, known.classes)}; [classes] maps the data set's to them",
            )
    return tuple((known.classes.index(name),) for name in classes)


def check_trained(role: Role, settings: RoleSettings, known: Known, table: ClipTable) -> None:
    """Raises ConfigError for a model of other classes that is trained with its classifier.

    Weights of the same classes in another order are reordered, a user's own model is not; those of
    this run are checked where they are loaded.
    """
    where = f"[{role.features}] {known.key}"
    if known.class_map != one_each(len(known.classes), known.class_map.task):
        where = "[specialists] pairs" if role.is_specialist else where
        found = f"found {known.source}, a teacher of other classes, which is used as it is"
        raise ConfigError(where, f"{found}: it is not trained further")
    if settings.init in (INIT_TEACHER, INIT_STUDENT):
        return
    wrong = difference(known.classes, table.classes)
    if known.key == "model" and wrong:
        raise ConfigError(where, f"found {known.source}, {wrong}")
    if set(known.classes) != set(table.classes):
        hint = "LOAD_CLASSIFIER = no leaves its classifier out"
        raise ConfigError(where, f"found {known.source}, {wrong}; {hint}")
