"""A student for microcontrollers and phones: a float32 ExecuTorch program."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from config import UserError, reason_of
from deploy.full_model import FullModel
from deploy.model_graph import quiet

MISSING = (
    "--format executorch requires the package executorch, which is not in requirements.txt: "
    "python -m pip install executorch"
)


class TupleOutput(nn.Module):
    """The outputs as a plain tuple: ExecuTorch does not support named tuples."""

    def __init__(self, full_model: FullModel) -> None:
        super().__init__()
        self.full_model = full_model

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.full_model(waveform))


def executorch_program(full_model: FullModel, samples: int) -> bytes:
    """One clip, (1, C, samples) -> probabilities (1, K), logits (1, K), embedding (1, D), mel; with
    the front end.

    Delegated to XNNPACK; other operators, such as the Fourier transform, run on portable kernels.
    Raises UserError if the package is missing or cannot compile the model.
    """
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
    except ImportError as error:
        raise UserError(MISSING) from error
    example = torch.zeros(1, full_model.front_end.settings.channels, samples)
    try:
        with quiet():
            program = torch.export.export(TupleOutput(full_model).eval(), (example,))
            edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            return edge.to_executorch().buffer
    except Exception as error:  # the compiler raises almost anything
        raise UserError(f"ExecuTorch cannot compile the model: {reason_of(error)}") from error


def executorch_logits(program: bytes, waveform: Tensor) -> Tensor:
    """The logits of one clip, (1, C, S) -> (1, K)."""
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(program).load_method("forward")
    return method.execute([waveform])[1]
