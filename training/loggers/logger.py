"""What an experiment logger is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from training.run_folder import write_once

Settings = Mapping[str, str | int | float]


class Logger(ABC):
    """One training in one tracker.

    package: the one that it imports, by the name that pip installs.
    folder: that of the training.
    name: such as "RUN/student/ce+kd/seed_0/fold_1"; the project of the tracker is RUN.
    settings: of the training, flat, such as student.epochs.
    epoch: the last that is in the checkpoint, from 1; 0: the training starts.
    """

    package: ClassVar[str]

    @abstractmethod
    def __init__(self, folder: Path, name: str, settings: Settings, epoch: int) -> None: ...

    @abstractmethod
    def add(self, row: Mapping[str, float]) -> None:
        """`row`: the epoch, from 1, and its figures."""

    @abstractmethod
    def close(self, scores: Mapping[str, float]) -> None:
        """`scores`: those of the test clips, as in metrics.json. Only of a finished training."""


def kept_id(folder: Path, package: str, new: Callable[[], str]) -> str:
    """The id of a training's run in its tracker: `new()`, kept in the folder of the training."""
    path = folder / f"{package}_run.txt"
    if not path.exists():
        write_once(path, new())
    return path.read_text("utf-8")
