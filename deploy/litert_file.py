"""A student for phones and microcontrollers: a LiteRT (TensorFlow Lite) file, from log-mel to tags.

The front end is outside: LiteRT's converter has no complex numbers, and a device computes the mel
with its own Fourier transform. The file is also a ZIP archive of its labels and its description, as
in TensorFlow Lite Metadata: readers of FlatBuffers ignore what follows them.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
import torch
from torch import Tensor, nn

from config import UserError, reason_of
from deploy.description import ENTRY, FORMAT
from deploy.model_graph import prepared, quiet
from deploy.quantise import trained_layers
from models.output import probabilities_of
from models.stored import Description

MISSING = (
    "--format tflite requires the package {}, which is not in requirements.txt: "
    "python -m pip install -r requirements-tflite.txt"
)
# A std or a norm is computed in float32: squares of small values are 0 in int8.
SQUARES = ("ADD", "CONCATENATION", "MEAN", "MUL", "SQRT", "SUB", "SUM")
SIGNATURE = "serving_default"
LABELS, DESCRIPTION = "labels.txt", f"{ENTRY}.json"  # in the archive


class NamedOutputs(nn.Module):
    """(1, *input_shape) -> probabilities and logits, (1, K), and embedding, (1, D)."""

    def __init__(self, model: nn.Module, task: str) -> None:
        super().__init__()
        self.model, self.task = model, task

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        logits, embedding, _ = self.model(features)
        probabilities = probabilities_of(logits, self.task)
        return {"probabilities": probabilities, "logits": logits, "embedding": embedding}


def litert_files(
    model: nn.Module,
    described: Description,
    precisions: Sequence[str],
    calibration: Sequence[np.ndarray],
    quantised: nn.Module | None = None,
) -> dict[str, bytes]:
    """The FlatBuffer of each precision, `features` (1, *input_shape) -> as `NamedOutputs`.

    int8 has the weights of `quantised` if given, the student trained in int8. Raises UserError if
    the package is missing or cannot convert the model.
    """
    found = {}
    if "float32" in precisions:
        found["float32"] = converted(model, described)
    if "int8" in precisions:
        if quantised is None:
            source = found.get("float32") or converted(model, described)
        else:
            source = converted(trained_layers(quantised), described)
        found["int8"] = int8(source, calibration)
    return found


def converted(model: nn.Module, described: Description) -> bytes:
    """float32."""
    try:
        import litert_torch
    except ImportError as error:
        raise UserError(MISSING.format("litert-torch")) from error
    litert_torch.config.show_progress = False
    named = NamedOutputs(prepared(model, described.input_shape), described.task).eval()
    example = {"features": torch.zeros(1, *described.input_shape)}
    try:
        with quiet():
            return litert_torch.convert(named, sample_kwargs=example).model_content()
    except Exception as error:  # the converter raises almost anything
        raise UserError(f"LiteRT cannot convert the model: {reason_of(error)}") from error


def int8(model: bytes, calibration: Sequence[np.ndarray]) -> bytes:
    """Weights in int8 with one scale per channel; activations, input and outputs in int8 with one
    scale per tensor, from the extremes on `calibration`, training clips of (1, *input_shape). In a
    model with square roots the operators of SQUARES are in float32, where LiteRT runs that.

    Raises UserError if the package is missing or cannot quantise the model.
    """
    try:
        import ai_edge_quantizer  # noqa: F401
    except ImportError as error:
        raise UserError(MISSING.format("ai-edge-quantizer")) from error
    try:
        with quiet(), contextlib.redirect_stderr(io.StringIO()):  # of the progress bar
            if "SQRT" in operators(model):
                found = quantised_model(model, calibration, SQUARES)
                if runs(found, calibration[0]):  # not where FULLY_CONNECTED reads the embedding
                    return found
            return quantised_model(model, calibration)
    except Exception as error:  # the quantiser raises almost anything
        raise UserError(f"LiteRT cannot quantise the model to int8: {reason_of(error)}") from error


def quantised_model(
    model: bytes, calibration: Sequence[np.ndarray], in_float32: Sequence[str] = ()
) -> bytes:
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    found = quantizer.Quantizer(model, recipe.static_wi8_ai8())
    for name in in_float32:
        operator = TFLOperationName(name)
        found.update_quantization_recipe(".*", operator, algorithm_key="no_quantize")
    ranges: dict[str, Any] = {}
    for clip in calibration:  # one by one: of several it takes moving averages
        inputs = [{"features": np.ascontiguousarray(clip, np.float32)}]
        extremes = found.calibrate({SIGNATURE: inputs}, num_threads=1)
        ranges = {
            name: min_max_update(ranges.get(name, {}), extreme)
            for name, extreme in extremes.items()
        }
    return bytes(found.quantize(ranges).quantized_model)


def runs(model: bytes, features: np.ndarray) -> bool:
    try:
        LitertModel(model)(features)
    except (RuntimeError, ValueError):
        return False
    return True


def operators(model: bytes, kind: str | None = None) -> set[str]:
    """The names of the operators; of those with an output of this type, such as FLOAT32."""
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    graph, names = parsed.subgraphs[0], {c: n for n, c in vars(schema.BuiltinOperator).items()}
    return {
        names[parsed.operatorCodes[operator.opcodeIndex].builtinCode]
        for operator in graph.operators
        for output in operator.outputs
        if kind is None or graph.tensors[output].type == getattr(schema.TensorType, kind)
    }


def float_operators(model: bytes) -> list[str]:
    """The names of the operators that compute in float32, conversions apart."""
    return sorted(operators(model, "FLOAT32") - {"DEQUANTIZE"})


def with_description(model: bytes, description: Mapping[str, Any]) -> bytes:
    """The file: `model`, then an archive of labels.txt, one class per line, and soundstill.json."""
    text = json.dumps({"format": FORMAT, **description}, ensure_ascii=False, allow_nan=False)
    labels = "".join(f"{name}\n" for name in description["classes"])
    file = io.BytesIO(model)
    with ZipFile(file, "a") as archive:
        for name, content in ((LABELS, labels), (DESCRIPTION, text)):
            archive.writestr(ZipInfo(name), content)  # without the time of the export
    return file.getvalue()


class LitertModel:
    """A file that is run by LiteRT's interpreter on one core, clip by clip."""

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(model_content=model, num_threads=1)
        self.run = self.interpreter.get_signature_runner()
        self.input = self.run.get_input_details()["features"]
        self.outputs = self.run.get_output_details()

    def __call__(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """float32 (B, *input_shape) -> the outputs in float32, (B, ...) each."""
        clips = [self.one(clip[None]) for clip in features]
        return {name: np.concatenate([clip[name] for clip in clips]) for name in self.outputs}

    def one(self, features: np.ndarray) -> dict[str, np.ndarray]:
        found = self.run(features=quantised(features, self.input))
        return {name: dequantised(found[name], about) for name, about in self.outputs.items()}


def quantised(values: np.ndarray, about: Mapping[str, Any]) -> np.ndarray:
    """In the type of a tensor of the interpreter."""
    if about["dtype"] != np.int8:
        return values
    scale, zero = about["quantization"]
    return np.clip(np.rint(values / scale) + zero, -128, 127).astype(np.int8)


def dequantised(values: np.ndarray, about: Mapping[str, Any]) -> np.ndarray:
    if values.dtype != np.int8:
        return values
    scale, zero = about["quantization"]
    return np.float32(scale) * (values.astype(np.float32) - zero)
