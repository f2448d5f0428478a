"""A student as C99 source for microcontrollers: deploy/c with generated sizes and constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from data.atomic_write import write
from deploy import c_source
from deploy.arena import Buffer, arena
from deploy.c_front_end import CFrontEnd, c_front_end
from deploy.c_layers import Network, Place, Weights, fixed_length
from deploy.model_graph import model_graph
from deploy.quantise import trained_layers
from deploy.tags import UNCALIBRATED
from models.cost import cost
from models.stored import Description

if TYPE_CHECKING:
    import onnx

    from deploy.export import Trained

SOURCES = Path(__file__).with_name("c")
TEMPLATE = "PACKAGE.md"
POINTER_BYTES, NUMBER_BYTES = 4, 4  # on a device of 32 bits
PRECISIONS = {"float32": "float", "int8": "int8_t"}


@dataclass(frozen=True, slots=True)
class CPackage:
    """The files by name, and their bytes on a device. The code is not counted."""

    files: dict[str, str]
    arena_bytes: int
    weight_bytes: int
    front_end_bytes: int
    layer_bytes: int

    @property
    def flash_bytes(self) -> int:
        return self.weight_bytes + self.front_end_bytes + self.layer_bytes


def export_c(trained: Trained, precision: str, folder: Path) -> None:
    """Write the package into `folder` / c_<precision>, and print its RAM and flash.

    int8 has the weights of the student trained in int8, if there is one. Raises UserError for a
    student that the C runtime does not support.
    """
    described, model = trained.described, trained.model
    if precision == "int8" and trained.quantised is not None:
        model = trained_layers(trained.quantised)
    graph = model_graph(model, described.input_shape)
    package = c_package(graph.model, described, precision, trained.thresholds)
    costs = cost(trained.model, described.input_shape)
    readme = Template((SOURCES / TEMPLATE).read_text("utf-8")).substitute(
        name=trained.name,
        model=described.model,
        parameters=f"{costs.parameters:,}",
        macs=f"{costs.macs:,}",
        weights=precision,
        sample_rate=described.front_end.sample_rate,
        clip_seconds=f"{described.clip_seconds:g}",
        clip_samples=trained.samples,
        classes=len(described.classes),
        task=described.task,
        ram_kib=kib(package.arena_bytes),
        flash_kib=kib(package.flash_bytes),
        weights_kib=kib(package.weight_bytes),
        front_end_kib=kib(package.front_end_bytes),
        layers_kib=kib(package.layer_bytes),
        dataset=trained.dataset,
        licence=trained.licence,
        commit=trained.commit,
    )
    folder = folder / f"c_{precision}"
    write_files(package.files | {"README.md": readme}, folder)
    print(
        f"{folder}: RAM {kib(package.arena_bytes)} KiB, flash {kib(package.flash_bytes)} KiB "
        f"(weights {kib(package.weight_bytes)}, front end {kib(package.front_end_bytes)}, "
        f"layers {kib(package.layer_bytes)}) and code"
    )


def write_files(files: dict[str, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write(folder / name, content)


def kib(count: int) -> str:
    return f"{count / 1024:.1f}"


def c_package(
    model: onnx.ModelProto,
    described: Description,
    precision: str,
    thresholds: Sequence[float] | None = None,
) -> CPackage:
    """`model` is float32, features -> logits. int8 is that of the weights. `thresholds` are those
    of the tags. Raises UserError.
    """
    front_end = c_front_end(described)
    network = Network(fixed_length(model, described.input_shape))
    places, floats = planned(network, front_end)
    code = ModelSource(network, places, precision)
    sizes = front_end.sizes | {
        "STEPS": len(network.layers),
        "SINGLE_LABEL": int(described.task == "single_label"),
        "MEL": places[network.features],
        "LOGITS": places[network.logits],
        **{name: places[name] for name in front_end.scratch},
        "ARENA_FLOATS": floats,
    }
    clip = {
        "SOUNDSTILL_SAMPLE_RATE": described.front_end.sample_rate,
        "SOUNDSTILL_CLIP_SAMPLES": round(described.clip_seconds * described.front_end.sample_rate),
        "SOUNDSTILL_CLASSES": len(described.classes),
    }
    head = '#include <stdint.h>\n\n#include "clip.h"\n\n'
    head += f"typedef {PRECISIONS[precision]} Weight;\n\n"
    sources = [*SOURCES.glob("*.[ch]"), SOURCES / "Makefile"]
    files = {path.name: path.read_text("utf-8") for path in sorted(sources)} | {
        "clip.h": c_source.header("clip.h", c_source.definitions(clip)),
        "sizes.h": c_source.header("sizes.h", head + c_source.definitions(sizes)),
        "front_end_tables.c": front_end.source(),
        "model.c": code.text(described.classes, thresholds),
    }
    tables = sum(values.nbytes for values in front_end.tables.values())
    return CPackage(files, 4 * floats, code.weight_bytes, tables, code.layer_bytes)


def planned(network: Network, front_end: CFrontEnd) -> tuple[dict[str, int], int]:
    """The place of every value in the arena, and the size of the arena, in floats."""
    buffers, buffer_of = lifetimes(network, front_end)
    found, size = arena(list(buffers.values()))
    places = dict(zip(buffers, found, strict=True))
    return {value: places[name] for value, name in buffer_of.items()}, size


def lifetimes(network: Network, front_end: CFrontEnd) -> tuple[dict[str, Buffer], dict[str, str]]:
    """The buffers by name, and the name of the buffer of every value.

    The front end runs at step -1. A layer that can work in place writes over an input that no later
    layer reads.
    """
    end = len(network.layers)
    last = {network.features: 0} | {
        name: step for step, layer in enumerate(network.layers) for name in layer.reads
    }
    last[network.logits] = end
    buffers = {name: Buffer(size, -1, -1) for name, size in front_end.scratch.items()}
    buffers[network.features] = Buffer(network.size(network.features), -1, last[network.features])
    buffer_of = {name: name for name in buffers}
    for step, layer in enumerate(network.layers):
        for name, size in layer.scratch.items():
            buffers[name], buffer_of[name] = Buffer(size, step, step), name
        value = layer.writes
        if value in buffer_of:  # another part of a concatenation
            continue
        until = max(step, last.get(value, step))
        last_read = [name for name in layer.in_place if last[name] == step]
        name = buffer_of[last_read[0]] if last_read else value
        size, first = network.size(value), step
        if last_read:
            size, first = max(size, buffers[name].size), buffers[name].first
        buffers[name] = Buffer(size, first, until)
        buffer_of[value] = name
    return buffers, buffer_of


class ModelSource:
    """The layers as C: a struct and a step each, and the arrays that they point to."""

    def __init__(self, network: Network, places: dict[str, int], precision: str) -> None:
        self.places, self.precision = places, precision
        self.weight_bytes = self.layer_bytes = 0
        self.parts: list[str] = []
        steps = []
        for number, layer in enumerate(network.layers):
            self.name = f"layer_{number}"
            fields = self.resolved(layer.fields)
            self.parts.append(
                f"static const {layer.struct} {self.name} = {c_source.initialiser(fields)};\n"
            )
            steps.append(f"    {{{layer.function}, &{self.name}}},\n")
            self.layer_bytes += 2 * POINTER_BYTES
        self.steps = f"const Step model_steps[STEPS] = {{\n{''.join(steps)}}};\n"

    def resolved(self, fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        """Places as numbers, and arrays as the names of constants."""
        found: dict[str, Any] = {}
        for key, value in fields.items():
            if isinstance(value, Weights):
                weights, scales = self.quantised(value.values)
                found[key] = self.constant(key, weights)
                found["scales"] = self.constant("scales", scales)
            elif isinstance(value, Place):
                found[key] = self.places[value.value]
            elif isinstance(value, tuple):  # a place and the values before it
                found[key] = self.places[value[0].value] + value[1]
            elif value is None or isinstance(value, np.ndarray):
                found[key] = self.constant(key, value)
            elif isinstance(value, dict):
                found[key] = self.resolved(value)
                continue
            else:
                found[key] = value
            self.layer_bytes += NUMBER_BYTES * (len(value) if isinstance(value, list) else 1)
        return found

    def constant(self, key: str, values: np.ndarray | None) -> str:
        """Its name, or NULL."""
        if values is None:
            return "NULL"
        name = f"{self.name}_{key}"
        self.parts.append(c_source.array(name, values.reshape(-1), static=True))
        self.weight_bytes += values.nbytes
        return name

    def quantised(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """With the scale of each channel, whose largest weight becomes 127."""
        if self.precision == "float32":
            return weights.astype(np.float32), None
        largest = np.abs(weights).reshape(len(weights), -1).max(1)
        scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
        shape = (-1, *[1] * (weights.ndim - 1))
        return np.rint(weights / scales.reshape(shape)).astype(np.int8), scales

    def text(self, classes: Sequence[str], thresholds: Sequence[float] | None) -> str:
        names = "".join(f"    {c_source.text(name)},\n" for name in classes)
        includes = '#include <math.h>\n#include <stddef.h>\n\n#include "layers.h"\n'
        includes += '#include "soundstill.h"\n'
        listed = f"const char *const soundstill_classes[SOUNDSTILL_CLASSES] = {{\n{names}}};\n"
        lowest = float_thresholds(thresholds or [UNCALIBRATED] * len(classes))
        listed += c_source.array("soundstill_thresholds", lowest, static=False)
        return "\n".join([c_source.GENERATED + includes, *self.parts, self.steps, listed])


def float_thresholds(thresholds: ArrayLike) -> np.ndarray:
    """float32, rounded up, so that every float32 probability is on the same side."""
    exact = np.asarray(thresholds, np.float64)
    found = exact.astype(np.float32)
    return np.where(found < exact, np.nextafter(found, np.float32(2)), found)
