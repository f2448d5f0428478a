"""The device of a training, its memory, precision and compiler."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, cast

import torch
from torch import nn

from config import ConfigError, reason_of
from data.loading.batches import GIGABYTE

CPU_GIGABYTES = 4.0  # beyond these the page cache of the system keeps what is read often


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA, then MPS, then the CPU. Raises ConfigError for a device that is not there.

    cuDNN is set to deterministic kernels, so that a resumed training ends with the same bits.
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
        raise ConfigError("[run] device", f"found {name!r}: {reason_of(error)}") from None
    return device


def forward_precision(
    device: torch.device, precision: Literal["float32", "bfloat16"]
) -> AbstractContextManager[object]:
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def feature_memory_gb(setting: float | None, device: torch.device) -> float:
    """How much of the device's memory, as it is now, a cache may take."""
    if setting is not None:
        return setting
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 2 / GIGABYTE
    return CPU_GIGABYTES


def compiler(
    mode: Literal["no", "default", "reduce-overhead"], device: torch.device
) -> Callable[[nn.Module], nn.Module]:
    """torch.compile in this mode, or the identity.

    The parameters are shared with the model, which is validated and stored uncompiled. Every batch
    size (the last batch of an epoch may be smaller) has its own kernels. The code of earlier
    trainings is discarded: torch.compile stops compiling after too many recompilations. Raises
    ConfigError where there is no compiler.
    """
    if mode == "no":
        return lambda model: model
    if device.type == "cuda":
        found, needed = importlib.util.find_spec("triton") is not None, "the package triton"
    else:
        found = any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++")))
        needed = "a C++ compiler (or its name in CXX)"
    if not found:
        raise ConfigError(
            "[run] compile", f"found {mode!r}, which requires {needed}; none is installed"
        )
    torch.compiler.reset()

    def compiled(model: nn.Module) -> nn.Module:
        return cast(nn.Module, torch.compile(model, dynamic=False, mode=mode))  # of a module, one

    return compiled
