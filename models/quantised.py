"""Simulated int8 (fake quantisation): weights and inputs of every layer are rounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from config import UserError
from models.dymn import DynamicConvolution
from models.folded import WEIGHTED, Weighted, fold_batch_norm

MOMENTUM = 0.01  # of the moving averages of the ranges
MIN_SCALE = 1e-9  # of a tensor that is always 0
MAX_BIAS = 2**30  # half the range of int32


class Rounded(torch.autograd.Function):
    r"""A tensor rounded to a grid of integers, with the straight-through gradient.

    .. math:: s (\operatorname{clamp}(\operatorname{round}(x / s) + z, low, high) - z)

    The gradient is zero where it was clamped. Source: Jacob et al., CVPR 2018, eq. 12.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero: Tensor, low: int, high: int) -> Tensor:
        steps = (x / scale).round() + zero
        ctx.save_for_backward((steps >= low) & (steps <= high))
        return (steps.clamp(low, high) - zero) * scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return gradient * ctx.saved_tensors[0], None, None, None, None


class QuantisedLayer(nn.Module):
    """A convolution or linear layer with int8 weights, one scale per channel, and a uint8 input.

    The input is clamped to the range `low` to `high`, which contains 0; in training both are moving
    averages of the extremes of the batches. The weights are -127 to 127 times the scale of their
    channel, and the bias is int32 in units of the product of both scales. So all summands are
    integers; the sum is not rounded.

    Source: Jacob et al., CVPR 2018; per-channel scales: Krishnamoorthi, arXiv:1806.08342.
    Shapes: those of `layer`.
    """

    low: Tensor
    high: Tensor

    def __init__(self, layer: Weighted, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("low", low.clamp(max=0))
        self.register_buffer("high", high.clamp(min=0))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.update_range(x)
        scale, zero = self.input_grid()
        scales, no_offset = self.weight_scale(), torch.zeros_like(zero)
        rounded = {"weight": Rounded.apply(self.layer.weight, scales, no_offset, -127, 127)}
        if self.layer.bias is not None:
            units = scale * scales.flatten()
            rounded["bias"] = Rounded.apply(self.layer.bias, units, no_offset, -MAX_BIAS, MAX_BIAS)
        return functional_call(self.layer, rounded, (Rounded.apply(x, scale, zero, 0, 255),))

    @torch.no_grad()
    def update_range(self, x: Tensor) -> None:
        low, high = torch.aminmax(x)
        self.low.lerp_(low.clamp(max=0), MOMENTUM)
        self.high.lerp_(high.clamp(min=0), MOMENTUM)

    def input_grid(self) -> tuple[Tensor, Tensor]:
        """The scale and the zero point: ()."""
        scale = ((self.high - self.low) / 255).clamp_min(MIN_SCALE)
        return scale, (-self.low / scale).round()

    @torch.no_grad()
    def weight_scale(self) -> Tensor:
        """The scale of each output channel, (K, 1, ...); large enough for its bias to fit int32."""
        weight, bias = self.layer.weight, self.layer.bias
        scale = weight.abs().amax(tuple(range(1, weight.ndim)), keepdim=True) / 127
        if bias is not None:
            least = bias.abs() / (MAX_BIAS * self.input_grid()[0])
            scale = scale.maximum(least.reshape(scale.shape))
        return scale.clamp_min(MIN_SCALE)


def quantise(model: nn.Module, clips: Sequence[Tensor]) -> nn.Module:
    """Fold batch normalisation and replace each layer by a QuantisedLayer, all in place.

    The input ranges are the extremes on `clips`, batches of (B, *input_shape). The products of
    attention, residual additions and any other normalisation (such as the response norm of
    CP-Mobile) stay float32.

    Source: Schmid et al., DCASE 2023 Task 1, with the quantisation of PyTorch for x86.
    Differs: batch normalisation is folded before the quantisation-aware training, not during it;
    inputs have eight bits, not seven; the output of a layer is rounded at the input of the next.
    Raises UserError for a model with recurrences or dynamic convolutions, whose weights would stay
    float32.
    """
    if any(isinstance(module, nn.RNNBase) for module in model.modules()):
        raise UserError(f"{type(model).__name__} cannot be quantised: it contains a recurrence")
    check_kernels(model)
    fold_batch_norm(model, clips[0])
    for name, (layer, low, high) in ranges(model, clips).items():
        model.set_submodule(name, QuantisedLayer(layer, low, high))
    return model


def check_kernels(model: nn.Module) -> None:
    """Raises UserError for a model whose kernels depend on the clip, which has no int8."""
    if any(isinstance(module, DynamicConvolution) for module in model.modules()):
        raise UserError(
            f"{type(model).__name__} cannot be quantised to int8: its kernels depend on the clip; "
            "float32 and float16 are supported"
        )


@torch.no_grad()
def ranges(model: nn.Module, clips: Sequence[Tensor]) -> dict[str, tuple[Weighted, Tensor, Tensor]]:
    """Name -> layer, lowest and highest input on `clips`, of the layers that the model uses."""
    found: dict[str, tuple[Weighted, Tensor, Tensor]] = {}

    def record(name: str) -> Any:
        def hook(module: Any, inputs: tuple[Tensor]) -> None:
            low, high = torch.aminmax(inputs[0])
            _, lowest, highest = found.get(name, (module, low, high))
            found[name] = module, lowest.minimum(low), highest.maximum(high)

        return hook

    handles = [
        module.register_forward_pre_hook(record(name))
        for name, module in model.named_modules()
        if isinstance(module, WEIGHTED)
    ]
    model.eval()
    for batch in clips:
        model(batch)
    for handle in handles:
        handle.remove()
    return found


def freeze_ranges(model: nn.Module) -> None:
    """Stop updating input ranges and batch statistics, until the next `model.train()`."""
    for module in model.modules():
        if isinstance(module, (QuantisedLayer, _BatchNorm)):
            module.eval()
