"""Several processes, one training: what torchrun starts, on one machine or many.

Each process runs its share of every batch through the model. What the model says is then gathered,
so that each loss sees the whole batch at every process, and N processes have the loss and the
gradients of one. Files are written, and tables and bars shown, by rank 0 alone.
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
from models.output import Output
from training.batch_norm import with_whole_batch_norm
from training.device import choose_device

TIMEOUT = timedelta(hours=6)  # a process that ended is noticed at once, one that hangs after this


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """The number of processes; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def processes(device: str) -> Iterator[None]:
    """Join the processes that torchrun started, if it did: NCCL for CUDA, gloo for the CPU.

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
        raise UserError("another process ended; its own message says why") from error
    dist.destroy_process_group()


def process_device(name: str) -> torch.device:
    """The device of this one of several processes. Raises ConfigError."""
    local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if name in ("auto", "cuda") and local < there:
        torch.cuda.set_device(local)  # before anything is put on the first GPU
    device = choose_device(name)
    if device.type == "cpu":
        return device
    if device.type != "cuda" or device.index is not None:
        raise ConfigError("[run] device", f"found {name!r}, want cpu, cuda or auto under torchrun")
    if local >= there:
        started = os.environ["LOCAL_WORLD_SIZE"]
        raise ConfigError("[run] device", f"torchrun started {started} processes on {there} GPUs")
    return torch.device("cuda", local)


def lost_another(error: RuntimeError) -> bool:
    """Whether a process could not go on because another one was gone."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def barrier() -> None:
    if world() > 1:
        dist.barrier()


# The model and what it says ----------------------------------------------------------------------


def shared(model: nn.Module, losses: Iterable[nn.Module]) -> nn.Module:
    """`model` as the processes train it together: the same parameters, their gradients averaged.

    Batch normalisation takes its statistics over the whole batch, as in one process; dropout is
    drawn by each process for itself.
    """
    if world() == 1:
        return model
    wanted = Wanted(with_whole_batch_norm(model), {loss.student for loss in losses})
    return DistributedDataParallel(wanted, static_graph=True)


class Wanted(nn.Module):
    """A model whose outputs of other names take no gradient: DDP would wait for it in vain."""

    def __init__(self, model: nn.Module, names: Container[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, x: Tensor) -> Output:
        def kept(name: str, tensor: Tensor) -> Tensor:
            return tensor if name in self.names else tensor.detach()

        logits, embedding, maps = self.model(x)
        *earlier, last = maps
        maps = (*(tensor.detach() for tensor in earlier), kept("map", last))
        return Output(kept("logits", logits), kept("embedding", embedding), maps)


def whole(mine: Tensor, clips: int) -> Tensor:
    """Everyone's share of the `clips` clips of a batch, in order, at everyone, with gradients.

    What has all the clips already (looked up, not computed, or a batch of one) stays as it is.
    Shapes: (share, ...) -> (clips, ...).
    """
    return mine if len(mine) == clips else Gather.apply(mine, clips)


class Gather(torch.autograd.Function):
    """All shares of a tensor, in the order of the ranks.

    Every process computes the same loss of the result, so each knows the gradient of its own share
    and none has to be sent. It is multiplied by the number of processes, because the gradients of
    the parameters, to which each adds its part, are then averaged and not summed.
    """

    @staticmethod
    def forward(ctx: Any, mine: Tensor, clips: int) -> Tensor:
        bounds = [clips * n // world() for n in range(world() + 1)]
        ctx.mine, ctx.length = slice(*bounds[rank() :][:2]), len(mine)
        longest = -(-clips // world())
        shares = [mine.new_empty(longest, *mine.shape[1:]) for _ in range(world())]
        dist.all_gather(shares, padded(mine, longest))
        return torch.cat([shares[n][: bounds[n + 1] - bounds[n]] for n in range(world())])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return padded(gradient[ctx.mine] * world(), ctx.length), None


def padded(tensor: Tensor, length: int) -> Tensor:
    """With zeros after its clips: shares may differ by one clip, and a process without has none."""
    missing = tensor.new_zeros(length - len(tensor), *tensor.shape[1:])
    return torch.cat([tensor, missing]).contiguous()
