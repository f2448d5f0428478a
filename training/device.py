"""Where tensors live and how many, how exactly they are multiplied, and by whose kernels."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import nn

from config import ConfigError
from data.loading.batches import GIGABYTE

CPU_GIGABYTES = 4.0  # the system keeps what it read from the disk in memory by itself


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA, then MPS, then the CPU. Raises ConfigError for a device that is not there.

    cuDNN is held to kernels that give the same bits every time, so that a resumed training does.
    """
    torch.backends.cudnn.deterministic = True
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError("[run] device", f"found {name!r}: {reason}") from None
    return device


def forward_precision(
    device: torch.device, precision: Literal["float32", "bfloat16"]
) -> AbstractContextManager[object]:
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def feature_memory_gb(wanted: float | None, device: torch.device) -> float:
    """What a cache may take of the device's memory, as it is now."""
    if wanted is not None:
        return wanted
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 2 / GIGABYTE
    return CPU_GIGABYTES


def compiler(
    mode: Literal["no", "default", "reduce-overhead"], device: torch.device
) -> Callable[[nn.Module], nn.Module]:
    """What a training puts around its models: torch.compile in this mode, or nothing.

    The parameters stay the model's own, so it is validated and stored as it was. Every batch size
    (an epoch's last batch may be smaller) has its own kernels. What an earlier training compiled
    is forgotten: torch.compile gives up on a model that was compiled for too many others.
    Raises ConfigError where there is nothing to compile with.
    """
    if mode == "no":
        return lambda model: model
    if device.type == "cuda":
        found, wanted = importlib.util.find_spec("triton"), "the package triton"
    else:
        found = any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++")))
        wanted = "a C++ compiler (or CXX, its name)"
    if not found:
        raise ConfigError("[run] compile", f"found {mode!r}, which wants {wanted}; none is there")
    torch.compiler.reset()
    return lambda model: torch.compile(model, dynamic=False, mode=mode)
