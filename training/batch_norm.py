"""Batch normalisation over the whole batch, where several processes hold a share of it each."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def with_whole_batch_norm(model: nn.Module) -> nn.Module:
    """`model` with its batch normalisations made to see all shares; the parameters stay the same.

    On GPUs that is PyTorch's SyncBatchNorm, which is for them alone. A batch with fewer clips than
    processes counts some of them twice in the statistics.
    """
    if any(p.device.type == "cuda" for p in model.parameters()):
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = WholeBatchNorm  # only what it does is another: all it holds stays
    return model


class WholeBatchNorm(_BatchNorm):
    r"""In training, mean and variance over every process's clips, with gradients through them.

    .. math:: \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta
    Shapes: (share, C, ...) -> (share, C, ...).
    """

    def _check_input_dim(self, x: Tensor) -> None:
        """Of any number of axes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float()
        axes = [axis for axis in range(x.ndim) if axis != 1]
        column = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
        own = values.new_tensor([x.numel() / x.shape[1]])
        total, count = Sum.apply(torch.cat([values.sum(axes), own])).split([self.num_features, 1])
        mean = total / count
        centred = values - mean.reshape(column)
        variance = Sum.apply(centred.square().sum(axes)) / count
        self.follow(mean.detach(), (variance * count / (count - 1)).detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.reshape(column) + self.bias.reshape(column)).to(x.dtype)

    @torch.no_grad()
    def follow(self, mean: Tensor, variance: Tensor) -> None:
        """The running statistics take a step, as in one process."""
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class Sum(torch.autograd.Function):
    """Over all processes; so is its gradient, as each process uses the sum for its own clips."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:
        total = mine.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total
