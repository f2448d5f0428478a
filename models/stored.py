"""weights.safetensors: the weights of a model, with a header that describes how to rebuild it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from config import Mel, Task, UserError
from models import MODELS, find_model
from models.class_map import ClassMap, map_classes
from models.precision import to_precision
from models.published import load_all, read_weights

ENTRY = "soundstill"  # in the header: a single one, because the order of several is not fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Everything needed to rebuild a trained model and its front end."""

    model: str  # as MODEL in [teacher] and [student]
    options: dict[str, Any]
    input_shape: tuple[int, ...]  # (C, T, F) or (C, S), of one clip
    task: Task
    classes: tuple[str, ...]
    clip_seconds: float
    front_end: Mel
    mean: tuple[float, ...]  # one, or one per band: the input is (x - mean) / std
    std: tuple[float, ...]
    precision: str = "float32"  # or float16, int8
    class_map: ClassMap | None = None  # of a model of other classes

    def header(self) -> dict[str, str]:
        """The metadata for safetensors, whose values are strings."""
        return {ENTRY: json.dumps(dataclasses.asdict(self))}

    def build(self) -> nn.Module:
        """The model with random weights, in evaluation mode."""
        outputs = self.class_map.outputs if self.class_map else len(self.classes)
        model = find_model("model", self.model)(
            num_classes=outputs, input_shape=self.input_shape, **self.options
        )
        if self.class_map:
            map_classes(model, self.class_map, self.task)
        return to_precision(model.eval(), self.precision, [torch.zeros(1, *self.input_shape)])


def read_description(path: Path) -> Description:
    """Raises UserError for a file that is missing, damaged or without a description."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path}: no such file of weights")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(ENTRY)
    except SafetensorError as error:
        raise UserError(f"{path}: cannot be read as weights: {error}") from None
    if text is None:
        raise UserError(
            f"{path}: has no description of its model; expected the weights.safetensors that "
            "train_teacher.py or train_student.py wrote"
        )
    try:
        found = json.loads(text)
        lists = {k: tuple(found[k]) for k in ("input_shape", "classes", "mean", "std")}
        parts: dict[str, Any] = {"front_end": Mel(**found["front_end"])}
        if class_map := found.get("class_map"):
            sets = tuple(map(tuple, class_map["sets"]))
            parts["class_map"] = ClassMap(**(class_map | {"sets": sets}))
        description = Description(**(found | lists | parts))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: its description is of another version: {error}") from None
    if ":" not in description.model and description.model not in MODELS:
        raise UserError(f"{path}: its model {description.model!r} does not exist")
    return description


def find_description(path: Path) -> Description | None:
    """That of the weights of a training; None for a file that has none, such as those of others."""
    try:
        return read_description(path)
    except UserError:
        return None


def read_model(path: Path, own: Collection[str] = ()) -> tuple[nn.Module, Description]:
    """The trained model of weights.safetensors, in evaluation mode.

    `own`: the models file.py:function of the current configuration. No other file is run: whoever
    wrote the weights would choose it. Raises UserError.
    """
    description = read_description(path)
    if ":" in description.model and description.model not in own:
        raise UserError(
            f"{path}: its model is {description.model}, and a file is run only if MODEL in the "
            "[teacher] or [student] of the current configuration names it (--config FILE)"
        )
    model = description.build()
    try:
        load_all(model, read_weights(path))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return model, description
