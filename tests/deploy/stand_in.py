"""A hand-made student of two classes whose logits are linear in the mean level of the input."""

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

WEIGHT, BIAS, BANDS = (20.0, -20.0), (-4.0, 4.0), 4
DESCRIPTION = {
    "format": 1,
    "name": "stand-in seed 0",
    "model": "level",
    "task": "multi_label",
    "classes": ["loud", "quiet"],
    "sample_rate": 8000,
    "channels": 1,
    "clip_seconds": 0.5,
    "samples": 4000,
    "any_length": True,
    "least_samples": 4,
    "precision": "float32",
    "front_end": {"front_end": "mel", "num_bands": BANDS},
    "hop_seconds": 0.0005,
    "dataset": "levels",
    "licence": "made here",
    "commit": "0123abc",
    "opset": 18,
    "parameters": 4,
    "macs": 8,
    "scores": {"accuracy": 0.75},
    "split": "test",
}


def make_student(
    path: Path, *, weight=WEIGHT, mel=True, embedding=False, described=True, **changes
) -> Path:
    """`changes` to the description; None removes an entry."""
    description = {k: v for k, v in (DESCRIPTION | changes).items() if v is not None}
    samples = "samples" if description["any_length"] else description["samples"]
    squash = "Softmax" if description["task"] == "single_label" else "Sigmoid"
    constants = {
        "axes": np.array([1, 2]),
        "weight": np.float32([weight]),
        "bias": np.float32([BIAS]),
        "mel_shape": np.array([0, 0, -1, BANDS]),
    }
    nodes = [
        helper.make_node("Abs", ["waveform"], ["level"]),
        helper.make_node("ReduceMean", ["level", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "weight"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["logits"]),
        helper.make_node(squash, ["logits"], ["probabilities"]),
    ]
    constants["last"] = np.array([1])
    shapes = {"probabilities": ["batch", 2], "logits": ["batch", 2]}
    if mel:
        nodes.append(helper.make_node("Reshape", ["level", "mel_shape"], ["mel"]))
        shapes["mel"] = ["batch", description["channels"], "frames", BANDS]

    if embedding:
        nodes.append(helper.make_node("Identity", ["column"], ["embedding"]))
        shapes["embedding"] = ["batch", 1]

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        "stand-in",
        [value("waveform", ["batch", description["channels"], samples])],
        [value(name, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if described:
        helper.set_model_props(model, {"soundstill": json.dumps(description)})
    checker.check_model(model)
    save(model, path)
    return path


def expected_probabilities(level: float) -> np.ndarray:
    """Of the multi-label stand-in, for a window of this mean level."""
    return 1 / (1 + np.exp(-(np.array(WEIGHT) * level + BIAS)))
