"""A trained model as an ONNX graph: mel (or waveform) -> logits and embedding, batch normalisation
folded in.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn

from config import ConfigError, UserError, reason_of
from models.folded import fold_batch_norm

if TYPE_CHECKING:
    import onnx

OPSET = 18
FEW = 16  # frames; a recurrence is traced step by step, so a short example is faster


class ModelGraph(NamedTuple):
    """`model`: `features` (B, *input_shape) -> `logits` (B, K), `embedding` (B, D)."""

    model: onnx.ModelProto
    any_length: bool  # False: only clips of input_shape


class Clamp(nn.Module):
    """ReLU6 as one operator: the exporter takes seconds per layer to decompose the original."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(0, 6)


class LogitsAndEmbedding(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(features)
        return output.logits, output.embedding


def model_graph(model: nn.Module, input_shape: tuple[int, ...]) -> ModelGraph:
    """Raises UserError for a model that PyTorch cannot export.

    `input_shape` is that of one clip, without the batch: (C, T, F), or (C, S) for a waveform.
    """
    channels, length, *bands = input_shape
    model = prepared(model, input_shape)
    attempts = [(False, length)]
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    for example in (FEW, length) if recurrent else (length,):
        if all(accepts(model, (channels, n, *bands)) for n in (example, 2 * length)):
            attempts.insert(0, (True, example))
            break
    for any_length, example in attempts:
        try:
            found = exported(model, (2, channels, example, *bands), any_length)
        except torch.onnx.errors.OnnxExporterError as error:
            failure = error
        else:
            return ModelGraph(simplified(found), any_length)
    reason = reason_of(failure.__cause__ or failure)
    raise UserError(f"{type(model).__name__} cannot be exported: {reason}") from failure


def prepared(model: nn.Module, input_shape: tuple[int, ...]) -> nn.Module:
    """A copy that is simpler to trace: batch normalisation is folded, if the outputs stay equal."""
    found = copy.deepcopy(model)
    try:
        clips = torch.rand(2, *input_shape, generator=torch.Generator().manual_seed(0))
        fold_batch_norm(found, clips)
    except UserError:
        found = copy.deepcopy(model)
    for name, module in list(found.named_modules()):
        if isinstance(module, nn.ReLU6):
            found.set_submodule(name, Clamp())
    return found


@torch.no_grad()
def accepts(model: nn.Module, shape: tuple[int, ...]) -> bool:
    try:
        model(torch.zeros(1, *shape))
    except (RuntimeError, ValueError, IndexError, AssertionError, ConfigError):
        return False
    return True


def exported(model: nn.Module, shape: tuple[int, ...], any_length: bool) -> onnx.ModelProto:
    """Traced at `shape`, with a dynamic batch and, with `any_length`, a dynamic length."""
    dynamic = torch.export.Dim.DYNAMIC
    axes = {0: dynamic, 2: dynamic} if any_length else {0: dynamic}
    with quiet():
        program = torch.onnx.export(
            LogitsAndEmbedding(model).eval(),
            (torch.zeros(shape),),
            dynamo=True,
            dynamic_shapes={"features": axes},
            input_names=["features"],
            output_names=["logits", "embedding"],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None  # with dynamo
    return program.model_proto


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the output of the exporter and the quantiser."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def optimised(model: onnx.ModelProto, level: Literal["BASIC", "EXTENDED"]) -> onnx.ModelProto:
    """The graph that onnxruntime runs; EXTENDED has operators of its own, fused from several."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = getattr(levels, f"ORT_ENABLE_{level}")
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="soundstill_") as folder:
        path = Path(folder, "optimised.onnx")
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return onnx.load(path)


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """Fold constants, and remove references to the machine and the source code of the export.

    onnxruntime's basic optimisations use standard operators only; the quantiser finds the weights
    of a recurrence only if they are folded.
    """
    model = optimised(model, "BASIC")
    del model.graph.value_info[:], model.metadata_props[:], model.graph.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    return model
