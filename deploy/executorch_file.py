"""A student for microcontrollers and phones: an ExecuTorch program, float32."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from config import UserError
from deploy.model_graph import quiet
from deploy.whole import Whole

WANTED = (
    "--format executorch wants the package executorch, which is not part of requirements.txt: "
    "python -m pip install executorch"
)


class Outputs(nn.Module):
    """ExecuTorch knows no named tuple."""

    def __init__(self, whole: Whole) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.whole(waveform))


def executorch_program(whole: Whole, samples: int) -> bytes:
    """One clip, (1, C, samples) -> probabilities (1, K), logits (1, K), mel; front end inside.

    Lowered for XNNPACK; what that lacks, such as the Fourier transform, runs on portable kernels.
    Raises UserError where the package is absent or cannot lower the model.
    """
    try:
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower
    except ImportError as error:
        raise UserError(WANTED) from error
    example = torch.zeros(1, whole.front_end.settings.channels, samples)
    try:
        with quiet():
            program = torch.export.export(Outputs(whole).eval(), (example,))
            to_precision = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            return to_precision.to_executorch().buffer
    except Exception as error:  # the compiler raises almost anything
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"ExecuTorch cannot lower the model: {reason}") from error


def executorch_logits(program: bytes, waveform: Tensor) -> Tensor:
    """What the program says of one clip, (1, C, S) -> (1, K)."""
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(program).load_method("forward")
    return method.execute([waveform])[1]
