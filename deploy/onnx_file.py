"""One ONNX file from waveforms to probabilities: front end, model, and its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data import atomic_write
from deploy.description import ENTRY, FORMAT
from deploy.front_end_graph import front_end_graph
from deploy.graph import Graph
from deploy.model_graph import OPSET
from models.stored import Description

if TYPE_CHECKING:
    import onnx
    import onnxruntime

IR_VERSION = 8  # of opset 18, which older runtimes read too
MICROSOFT = "com.microsoft"  # onnxruntime's own operators, such as the LSTM in int8


def assembled(model: onnx.ModelProto, described: Description, any_length: bool) -> onnx.ModelProto:
    """waveform (B, C, S) -> probabilities (B, K), logits (B, K), embedding (B, D) and mel
    (B, C, T, F), if used.

    `model` is features -> logits, embedding. S and T are dynamic with `any_length`.
    """
    from onnx import TensorProto, checker, compose, helper

    front = front_end_graph(described.front_end, described.mean, described.std)
    features = front.node[-1].output[0]
    body = compose.add_prefix_graph(model.graph, "model_", rename_inputs=False, inplace=False)
    for node in body.node:
        node.input[:] = [features if name == "features" else name for name in node.input]
    tail, classes = outputs(described.task), len(described.classes)
    parts = (front, body, tail)
    channels, float32 = described.front_end.channels, TensorProto.FLOAT
    shapes: dict[str, list[str | int]] = {
        "probabilities": ["batch", classes],
        "logits": ["batch", classes],
        "embedding": ["batch", width(model)],
    }
    if features == "mel":
        bands = described.front_end.num_bands
        frames = "frames" if any_length else described.input_shape[1]
        shapes["mel"] = ["batch", channels, frames, bands]
    samples = round(described.clip_seconds * described.front_end.sample_rate)
    waveform: list[str | int] = ["batch", channels, "samples" if any_length else samples]
    graph = helper.make_graph(
        [node for part in parts for node in part.node],
        ENTRY,
        [helper.make_tensor_value_info("waveform", float32, waveform)],
        [helper.make_tensor_value_info(name, float32, shape) for name, shape in shapes.items()],
        [constant for part in parts for constant in part.initializer],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    if any(node.domain == MICROSOFT for node in graph.node):
        opsets.append(helper.make_opsetid(MICROSOFT, 1))
    compact(graph)
    assembled_model = helper.make_model(
        graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name=ENTRY
    )
    checker.check_model(assembled_model)
    return assembled_model


def outputs(task: str) -> onnx.GraphProto:
    """NaN for a clip with NaN or infinite samples, which a maximum or int8 would make finite."""
    graph = Graph("outputs")
    nothing = graph("ReduceSum", graph("Mul", "waveform", np.float32(0)), [1, 2], keepdims=1)
    nothing = graph.reshape(nothing, (0, 1))  # 0 or NaN, (B, 1)
    logits, embedding = (graph("Add", f"model_{n}", nothing) for n in ("logits", "embedding"))
    activation = {"multi_label": "Sigmoid", "single_label": "Softmax"}[task]
    return graph.finished(
        probabilities=graph(activation, logits), logits=logits, embedding=embedding
    )


def compact(graph: onnx.GraphProto) -> None:
    """Number the tensors, and remove the names of nodes and attributes that have their default.

    In a small int8 file they take as much as a third of the bytes.
    """
    from onnx import defs

    numbers: dict[str, str] = {}
    kept = {"", *(value.name for value in (*graph.input, *graph.output))}

    def short(name: str) -> str:
        return name if name in kept else numbers.setdefault(name, str(len(numbers)))

    for constant in graph.initializer:
        constant.name = short(constant.name)
    for node in graph.node:
        node.ClearField("name")
        node.ClearField("doc_string")
        node.input[:], node.output[:] = map(short, node.input), map(short, node.output)
        if node.domain == MICROSOFT:
            continue
        defaults = defs.get_schema(node.op_type, OPSET).attributes
        changed = [a for a in node.attribute if not is_default(a, defaults[a.name])]
        del node.attribute[:]
        node.attribute.extend(changed)


def is_default(attribute: onnx.AttributeProto, schema: onnx.defs.OpSchema.Attribute) -> bool:
    from onnx import helper

    default = schema.default_value
    return bool(default.name) and (
        helper.get_attribute_value(attribute) == helper.get_attribute_value(default)
    )


def width(model: onnx.ModelProto) -> str | int:
    """The size of the embedding, if the graph states it."""
    embedding = next(output for output in model.graph.output if output.name == "embedding")
    return embedding.type.tensor_type.shape.dim[-1].dim_value or "width"


def describe(model: onnx.ModelProto, description: Mapping[str, Any]) -> None:
    """One JSON object in the file's metadata."""
    from onnx import helper

    text = json.dumps({"format": FORMAT, **description}, ensure_ascii=False, allow_nan=False)
    helper.set_model_props(model, {ENTRY: text})


def write(path: Path, model: onnx.ModelProto) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write.write(path, model.SerializeToString())


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """On one core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def processes(student: onnxruntime.InferenceSession, waveforms: np.ndarray) -> bool:
    """Whether waveforms (B, C, S) are long enough for a student."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.log_severity_level = 4  # without a message for each length that is too short
    try:
        (found,) = student.run(["logits"], {"waveform": waveforms}, options)
    except Exception:  # of onnxruntime, a different one for each cause
        return False
    return bool(np.isfinite(found).all())


def least_samples(students: Sequence[onnxruntime.InferenceSession], shape: tuple[int, int]) -> int:
    """The shortest waveform that all `students` process, at most that of `shape` (C, S)."""
    channels, enough = shape
    too_few = 0
    while enough - too_few > 1:
        samples = (enough + too_few) // 2
        waveform = np.zeros((1, channels, samples), np.float32)
        if all(processes(student, waveform) for student in students):
            enough = samples
        else:
            too_few = samples
    return enough


def logits(student: onnxruntime.InferenceSession, waveforms: np.ndarray) -> np.ndarray:
    """(B, C, S) -> (B, K)."""
    return student.run(["logits"], {"waveform": waveforms})[0]
