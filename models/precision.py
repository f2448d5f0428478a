"""A trained model in fewer bits."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.quantised import quantise


def to_precision(model: nn.Module, precision: str, clips: Sequence[Tensor]) -> nn.Module:
    """`model` itself, made to compute in float32, float16 or int8; its features stay float32.

    `clips`, batches of (B, *input_shape), say how large the numbers of int8 get. Raises UserError
    for a model that cannot be quantised.
    """
    if precision == "int8":
        return quantise(model, clips)
    if precision == "float16":
        model.half().register_forward_pre_hook(lambda module, inputs: (inputs[0].half(),))
    return model
