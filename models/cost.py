"""What a model costs: parameters, multiply-accumulates and bytes of weights."""

import copy
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class Cost(NamedTuple):
    """Figures of one model and one clip."""

    parameters: int  # trained or frozen; a shared one counts once
    macs: int  # of one clip: products of convolutions, linears, recurrences and attention
    weight_bytes: int  # what weights.safetensors holds: parameters and buffers, less its header


def cost(model: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """Count a model at an input shape (C, T, F) or (C, samples), without a batch axis.

    The multiply-accumulates are counted as the model runs in evaluation, on a copy without data
    (PyTorch's meta device): the kernels that fuse recurrences and attention are not used there, so
    every product is seen. Biases, activations, normalisation, pooling and Fourier transforms are
    not counted.
    """
    shadow = copy.deepcopy(model).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.zeros(1, *input_shape, device="meta"))
    return Cost(
        parameters=sum(p.numel() for p in model.parameters()),
        macs=counter.get_total_flops() // 2,  # a multiplication and an addition each
        weight_bytes=sum(t.numel() * t.element_size() for t in model.state_dict().values()),
    )
