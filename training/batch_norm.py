"""Batch normalisation: over the full batch, of which each of several processes has a share; and the
statistics of averaged weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def with_full_batch_norm(model: nn.Module) -> nn.Module:
    """`model` with batch normalisation over the shares of all processes; the parameters are kept.

    On GPUs that is PyTorch's SyncBatchNorm, which does not run on CPUs. A batch with fewer clips
    than processes counts some of them twice in the statistics.
    """
    if any(p.device.type == "cuda" for p in model.parameters()):
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = FullBatchNorm  # only the forward pass changes, not the state
    return model


class FullBatchNorm(_BatchNorm):
    r"""In training, mean and variance over the clips of all processes, with gradients through them.

    .. math:: \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta
    Shapes: (share, C, ...) -> (share, C, ...).
    """

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of axes is allowed."""

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
        self.update_statistics(mean.detach(), (variance * count / (count - 1)).detach())
        y = centred * (variance + self.eps).rsqrt().reshape(column)
        if self.affine:
            y = y * self.weight.reshape(column) + self.bias.reshape(column)
        return y.to(x.dtype)

    @torch.no_grad()
    def update_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """As in one process; without `momentum` the running statistics are cumulative averages, and
        without `track_running_stats` there are none.
        """
        if (
            self.num_batches_tracked is None
            or self.running_mean is None
            or self.running_var is None
        ):
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class Sum(torch.autograd.Function):
    """Sum over all processes, of the tensor and of its gradient: each process uses the sum."""

    @staticmethod
    def forward(ctx: Any, share: Tensor) -> Tensor:
        total = share.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


@torch.no_grad()
def average_statistics(model: nn.Module, batches: Iterable[tuple[Tensor, int]]) -> None:
    """Replace the running statistics by the mean of those of all batches, weighted by their clips.

    `batches`: the features of each, and its number of clips in all processes together. Leaves the
    model in training mode.

    Source: Izmailov et al., arXiv:1803.05407, section 3.2.
    Differs: torch's update_bn weighs a smaller last batch like a full one.
    """
    norms = {m: m.momentum for m in model.modules() if isinstance(m, _BatchNorm)}
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
    model.train()
    total = 0
    for features, clips in batches:
        total += clips
        for norm in norms:
            norm.momentum = clips / total
        model(features)
    for norm, momentum in norms.items():
        norm.momentum = momentum
