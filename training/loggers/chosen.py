"""The loggers of [run] LOGGER."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from config import ConfigError, choose, reason_of
from training.distributed import rank
from training.loggers import LOGGERS
from training.loggers.logger import Logger, Settings

KEY, NONE = "[run] logger", "none"
DEFAULT = "tensorboard"  # where it is installed


class Loggers:
    """Those of one training, by rank 0: the training does not depend on them. One that fails is off
    for the rest of the training, with one warning.
    """

    def __init__(self, chosen: Sequence[str], folder: Path, name: str, settings: Settings) -> None:
        self.names = names_of(chosen) if rank() == 0 else ()
        self.folder, self.name, self.settings = folder, name, settings
        self.running: dict[str, Logger] = {}

    def start(self, epoch: int) -> None:
        """`epoch`: the last that is finished, 0 for a new training."""
        for name in self.names:
            with self.never_fatal(name):
                logger = LOGGERS[name](self.folder, self.name, self.settings, epoch)
                self.running[name] = logger

    def add(self, row: Mapping[str, float | None]) -> None:
        """`row`: of the history; None is left out."""
        figures = {name: value for name, value in row.items() if value is not None}
        for name, logger in list(self.running.items()):
            with self.never_fatal(name):
                logger.add(figures)

    def close(self, scores: Mapping[str, float]) -> None:
        for name, logger in list(self.running.items()):
            with self.never_fatal(name):
                logger.close(scores)

    @contextmanager
    def never_fatal(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of the network, the disk or the tracker
            self.running.pop(name, None)
            off = f"{name} is off for the rest of {self.name}"
            print(f"warning: {off}: {reason_of(error)}", file=sys.stderr, flush=True)


def names_of(chosen: Sequence[str]) -> tuple[str, ...]:
    """Those of LOGGERS. Without any: TensorBoard, where it is installed."""
    default = (DEFAULT,) if is_installed(DEFAULT) else ()
    return tuple(name for name in chosen or default if name != NONE)


def is_installed(name: str) -> bool:
    found = importlib.util.find_spec(LOGGERS[name].package)
    return found is not None and found.origin is not None  # W&B writes into a folder `wandb`


def check_names(chosen: Sequence[str]) -> None:
    """Raises ConfigError for an unknown logger."""
    for name in chosen:
        choose(KEY, {**LOGGERS, NONE: None}, name)


def check_installed(chosen: Sequence[str]) -> None:
    """Raises ConfigError for a logger that is unknown or whose package is missing."""
    check_names(chosen)
    for name in names_of(chosen):
        if not is_installed(name):
            package = LOGGERS[name].package
            found = f"found {name!r}, but the package {package} is not installed"
            raise ConfigError(KEY, f"{found}: python -m pip install {package}")
