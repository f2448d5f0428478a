"""What every loss declares: the arguments of its `forward`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from config import ConfigError

OUTPUTS = ("logits", "embedding", "map", "maps")  # of a model; map: the last of the maps
ARGUMENTS = {"labels", "clips", "mix", "teacher_map_gram", "teacher_energies"}
ARGUMENTS |= {f"{side}_{output}" for side in ("student", "teacher") for output in OUTPUTS}
OF_PAIRS = {"mix", "teacher_map_gram"}  # (B, B): of all clips, also of those without labels
GIVEN = ("task", "label_smoothing", "pos_weight", "centre_lr")
"""Keyword parameters that follow from the data set and the role, and are no keys of [loss.NAME]."""


class Loss(nn.Module):
    """`forward` takes some of ARGUMENTS by their names and gives a scalar, see `losses`.

    takes: the names of its arguments. tasks: those that it is defined for.
    """

    takes: ClassVar[tuple[str, ...]] = ()
    tasks: ClassVar[tuple[str, ...]] = ("single_label", "multi_label")
    takes_teacher: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.takes = tuple(inspect.signature(cls.forward).parameters)[1:]
        cls.takes_teacher = any(name.startswith("teacher_") for name in cls.takes)
        if wrong := set(cls.takes) - ARGUMENTS:
            expected = f"expected some of {', '.join(sorted(ARGUMENTS))}"
            raise TypeError(f"{cls.__name__}.forward takes {min(wrong)!r}, {expected}")
        if "labels" in cls.takes and OF_PAIRS & set(cls.takes):
            raise TypeError(f"{cls.__name__}.forward takes labels, which excludes mix and grams")

    @classmethod
    def of_student(cls) -> tuple[str, ...]:
        """The outputs of the student that it takes."""
        return outputs_in(cls.takes, "student_")

    @classmethod
    def of_teacher(cls) -> tuple[str, ...]:
        """The outputs of a teacher that it takes, such as logits or map_gram."""
        return outputs_in(cls.takes, "teacher_")

    def build(self, shapes: Mapping[str, Any]) -> None:
        """Create the parameters and buffers whose sizes depend on the data, once before training.

        `shapes`: argument -> its shape without the axis of the clips, for maps a tuple of shapes;
        "clips" -> the number of training clips.
        """


def outputs_in(names: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    return tuple(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def check_positive(**values: float) -> None:
    """Raises ConfigError that names the first value that is not above 0."""
    for name, value in values.items():
        if value <= 0:
            raise ConfigError(name, f"found {value:g}, expected a number above 0")
