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
    """[run]: the name of the run, its seeds and the machine."""

    name: str = key("", "folder below runs/; empty: the name of the configuration file")
    teacher_run: str = key(
        "",
        "folder below runs/ whose teachers and specialists are used, which several runs can share; "
        "empty: NAME",
    )
    seeds: tuple[int, ...] = key((0,), "random seeds, one training each", low=0, high=1e9)
    device: str = key("auto", "auto, cpu, cuda, cuda:1 or mps")
    precision: Literal["float32", "bfloat16"] = key(
        "float32", "precision of the forward pass (autocast)"
    )
    compile: Literal["no", "default", "reduce-overhead"] = key(
        "no", "mode of torch.compile in training; reduce-overhead uses CUDA graphs"
    )
    workers: int = key(0, "processes of make_mel.py; 0: one per core", low=0, high=1024)
    feature_memory_gb: float | None = key(
        None,
        "GB (10^9 bytes) of features kept in the device's memory during training; empty: half of "
        "the free memory of a GPU, 4 on a CPU",
        low=0,
    )
    teacher_cache_gb: float = key(
        64.0,
        "GB (10^9 bytes) of disk for the outputs of a teacher",
        low=0,
    )

    logger: tuple[str, ...] = key(
        (),
        "experiment loggers, such as `tensorboard, mlflow`: those of tensorboard, mlflow, wandb "
        "and trackio, or none; empty: tensorboard, where it is installed",
    )

    @property
    def of_teachers(self) -> str:
        """The name of the run whose teachers are used."""
        return self.teacher_run or self.name

    def __post_init__(self) -> None:
        for key_name, found in (("name", self.name), ("teacher_run", self.teacher_run)):
            if found != Path(found).name or found == "..":
                message = f"found {found!r}, expected the name of one folder"
                raise ConfigError(f"[run] {key_name}", message)
        if not self.seeds:
            raise ConfigError("[run] seeds", "found none, expected one or more")
        if "none" in self.logger and len(self.logger) > 1:
            found = f"found {', '.join(self.logger)}, expected loggers or none"
            raise ConfigError("[run] logger", found)
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            known = ("auto", "cpu", "cuda", "cuda:1", "mps")
            raise ConfigError("[run] device", f"found {self.device!r}{nearest(self.device, known)}")
