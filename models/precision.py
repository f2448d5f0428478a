"""Reduced precision of a trained model."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.quantised import quantise


def to_precision(model: nn.Module, precision: str, clips: Sequence[Tensor]) -> nn.Module:
    """Convert `model` in place to float32, float16 or simulated int8; its input stays float32.

    `clips`, batches of (B, *input_shape), calibrate the ranges of int8. Raises UserError for a
    model that cannot be quantised.
    """
    if precision == "int8":
        return quantise(model, clips)
    if precision == "float16":
        model.half().register_forward_pre_hook(lambda module, inputs: (inputs[0].half(),))
    return model
