"""The cost of a model: parameters, multiply-accumulates and bytes of weights."""

import copy
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.quantised import QuantisedLayer


class Cost(NamedTuple):
    """The cost of a model and one clip."""

    parameters: int  # trained and frozen; a shared one counts once
    macs: int  # per clip, of convolutions, linear layers, recurrences and attention
    weight_bytes: int  # of parameters and buffers; a weight in int8, stored as float32, is one byte


def cost(model: nn.Module, input_shape: tuple[int, ...], training: bool = False) -> Cost:
    """Count a model at an input shape (C, T, F) or (C, samples), without a batch axis.

    The multiply-accumulates are those of a forward pass in evaluation or, with `training`, in
    training mode, where a model can drop patches. They are counted on PyTorch's meta device, which
    has no fused attention kernels, so every product is counted; those of recurrences follow from
    their sizes. Biases, activations, normalisation, pooling and Fourier transforms are not counted.
    """
    shadow = copy.deepcopy(model).to("meta").train(training)
    recurrences = [module for module in shadow.modules() if isinstance(module, nn.RNNBase)]
    for module in recurrences:
        module.forward = partial(recurrence_products, module)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.zeros(1, *input_shape, device="meta"))
    in_int8 = [module.layer for module in model.modules() if isinstance(module, QuantisedLayer)]
    stored = sum(t.numel() * t.element_size() for t in model.state_dict().values())
    return Cost(
        parameters=sum(p.numel() for p in model.parameters()),
        macs=counter.get_total_flops() // 2,  # a multiplication and an addition each
        weight_bytes=stored - sum(3 * layer.weight.numel() for layer in in_int8),
    )


def recurrence_products(module: nn.RNNBase, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """The output shapes of a recurrence, after one product per weight matrix with all steps.

    PyTorch's own meta implementation runs step by step and takes seconds for a thousand steps.
    """
    steps, directions = x[..., 0].numel(), 2 if module.bidirectional else 1
    for name, weight in module.named_parameters():
        if name.startswith("weight"):
            x.new_empty(steps, weight.shape[1]) @ weight.T
    layers = directions * module.num_layers
    batch = [x.shape[0 if module.batch_first else 1]] if x.ndim == 3 else []
    hidden = x.new_empty(layers, *batch, module.proj_size or module.hidden_size)
    cells = x.new_empty(layers, *batch, module.hidden_size)
    y = x.new_empty(*x.shape[:-1], directions * hidden.shape[-1])
    return y, (hidden, cells) if isinstance(module, nn.LSTM) else hidden
