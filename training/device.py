"""Where tensors live and how exactly they are multiplied."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from config import ConfigError


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
