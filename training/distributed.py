"""Data-parallel training in the processes that torchrun starts, on one machine or many.

Each process runs its share of every batch through the model. The outputs are then gathered, so that
every process computes each loss over the full batch, and N processes have the loss and the
gradients of one. Only rank 0 writes files and prints tables and progress bars.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from config import ConfigError, UserError
from losses.loss import Loss
from models.output import Output
from training.batch_norm import with_full_batch_norm
from training.device import choose_device

TIMEOUT = timedelta(hours=6)  # of a process that hangs; one that ended is noticed at once


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """The number of processes; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def on_this_machine() -> tuple[int, int]:
    """The rank of this process among those on its machine, and their number."""
    return int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))


@contextmanager
def processes(device: str) -> Iterator[None]:
    """Join the processes of torchrun, if it started any: NCCL for CUDA, gloo for the CPU.

    `device` is that of [run]; with CUDA each process takes the GPU of its local rank. Raises
    ConfigError where the devices do not suffice, UserError where another process ended.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield
        return
    chosen = process_device(device)
    if chosen.type == "cuda":
        dist.init_process_group("cpu:gloo,cuda:nccl", timeout=TIMEOUT, device_id=chosen)
    else:
        dist.init_process_group("gloo", timeout=TIMEOUT)
    try:
        yield
    except RuntimeError as error:
        if not lost_another(error):
            raise
        raise UserError("another process ended; see its own error message") from error
    dist.destroy_process_group()


def process_device(name: str) -> torch.device:
    """The device of this process, one of several. Raises ConfigError."""
    local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if name in ("auto", "cuda") and local < gpus:
        torch.cuda.set_device(local)  # before anything is allocated on the first GPU
    device = choose_device(name)
    if device.type == "cpu":
        return device
    if device.type != "cuda" or device.index is not None:
        raise ConfigError(
            "[run] device", f"found {name!r}, expected cpu, cuda or auto under torchrun"
        )
    if local >= gpus:
        started = os.environ["LOCAL_WORLD_SIZE"]
        raise ConfigError("[run] device", f"torchrun started {started} processes on {gpus} GPUs")
    return torch.device("cuda", local)


def lost_another(error: RuntimeError) -> bool:
    """Whether a process failed because another one had ended."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def barrier() -> None:
    if world() > 1:
        dist.barrier()


# The model and its outputs ------------------------------------------------------------------------


def data_parallel(model: nn.Module, losses: Iterable[Loss]) -> nn.Module:
    """`model` in DistributedDataParallel: the same parameters, their gradients averaged.

    Batch normalisation takes its statistics over the full batch, as in one process; each process
    samples its own dropout masks.
    """
    if world() == 1:
        return model
    names = {name for loss in losses for name in loss.of_student()}
    used = UsedOutputs(with_full_batch_norm(model), names)
    return DistributedDataParallel(used, static_graph=True)


class UsedOutputs(nn.Module):
    """A model that detaches the outputs that no loss takes: DDP would wait for their gradients."""

    def __init__(self, model: nn.Module, names: Container[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, x: Tensor) -> Output:
        def kept(name: str, tensor: Tensor) -> Tensor:
            return tensor if name in self.names else tensor.detach()

        logits, embedding, maps = self.model(x)
        if "maps" not in self.names:
            maps = (*(one.detach() for one in maps[:-1]), *(kept("map", one) for one in maps[-1:]))
        return Output(kept("logits", logits), kept("embedding", embedding), maps)


def gather(share: Tensor, clips: int) -> Tensor:
    """The shares of all processes, in their order, at every process, with gradients.

    A tensor that has all `clips` of the batch already (a cached one, or a batch of one) is returned
    unchanged. Shapes: (share, ...) -> (clips, ...).
    """
    return share if len(share) == clips else Gather.apply(share, clips)


class Gather(torch.autograd.Function):
    """All shares of a tensor, in the order of the ranks.

    Every process computes the same loss of the result, so each has the gradient of its own share
    and none is sent. It is multiplied by the number of processes, because DDP averages the
    gradients of the parameters, which are to be summed here.
    """

    @staticmethod
    def forward(ctx: Any, share: Tensor, clips: int) -> Tensor:
        bounds = [clips * n // world() for n in range(world() + 1)]
        ctx.own, ctx.length = slice(*bounds[rank() :][:2]), len(share)
        longest = -(-clips // world())
        shares = [share.new_empty(longest, *share.shape[1:]) for _ in range(world())]
        dist.all_gather(shares, padded(share, longest))
        return torch.cat([shares[n][: bounds[n + 1] - bounds[n]] for n in range(world())])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return padded(gradient[ctx.own] * world(), ctx.length), None


def padded(tensor: Tensor, length: int) -> Tensor:
    """With zeros after its clips: shares may differ by one clip or be empty."""
    missing = tensor.new_zeros(length - len(tensor), *tensor.shape[1:])
    return torch.cat([tensor, missing]).contiguous()
