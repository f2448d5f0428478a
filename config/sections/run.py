"""[run]: the name of the run, its seeds and the machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from config.errors import ConfigError, nearest
from config.fields import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """[run]: the name of the run, its repetitions and the machine."""

    name: str = key("", "folder below runs/; the configuration file's name where empty")
    seeds: tuple[int, ...] = key((0,), "one training each", low=0)
    device: str = key("auto", "auto, cpu, cuda, cuda:1, mps")
    precision: Literal["float32", "bfloat16"] = key("float32", "of the forward pass (autocast)")
    compile: Literal["no", "default", "reduce-overhead"] = key(
        "no", "mode of torch.compile in training; reduce-overhead takes CUDA graphs"
    )
    workers: int = key(0, "processes that make mels; 0: one a core", low=0)
    feature_memory_gb: float | None = key(
        None,
        "largest cache that is kept on the device during training; empty: half of what is free on "
        "a GPU, and 4 on a CPU",
        low=0,
    )
    teacher_cache_gb: float = key(
        64.0,
        "largest share of the disk for a teacher's outputs, and for what they are made from",
        low=0,
    )

    def __post_init__(self) -> None:
        if self.name != Path(self.name).name or self.name == "..":
            raise ConfigError("[run] name", f"found {self.name!r}, want the name of one folder")
        if not self.seeds:
            raise ConfigError("[run] seeds", "found none, want one or more")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            known = ("auto", "cpu", "cuda", "cuda:1", "mps")
            raise ConfigError("[run] device", f"found {self.device!r}{nearest(self.device, known)}")
