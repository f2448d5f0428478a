"""The mean of the weights after many epochs, and what such a mean has to measure again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def running_mean(
    mean: Mapping[str, Tensor] | None, state: Mapping[str, Tensor], count: int
) -> dict[str, Tensor]:
    """The mean of `count` state dicts, of which `state` is the last; counters are its own.

    Source: Izmailov et al., arXiv:1803.05407; the weight averaging of Gong et al., PSLA.
    """
    if mean is None:
        return {name: tensor.clone() for name, tensor in state.items()}
    return {
        name: mean[name].lerp(tensor, 1 / count) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in state.items()
    }


@torch.no_grad()
def measure_batch_norm(model: nn.Module, views: Iterable[Tensor]) -> None:
    """Running mean and variance of every batch normalisation, as the mean over these batches.

    The statistics of averaged weights are not the average of their statistics. In training mode,
    so under torchrun all processes' clips are seen where training sees them.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    model.train()
    for index, view in enumerate(views):
        for norm in norms:
            norm.momentum = 1 / (index + 1)
        model(view)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
