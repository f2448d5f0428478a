"""Curves of a training for TensorBoard, where it is installed: `tensorboard --logdir runs`."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from training.distributed import rank

FOLDER = "tensorboard"  # next to history.csv


class Scalars:
    """Writes each row of the history. A training that resumes after `epoch` replaces the rows of
    later epochs that an earlier process wrote.
    """

    def __init__(self, folder: Path, epoch: int) -> None:
        self.writer = None
        if rank() == 0 and importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(folder / FOLDER, purge_step=epoch + 1)

    def add(self, row: Mapping[str, float | None]) -> None:
        """`row`: the epoch, from 1, and its figures; None is left out."""
        if self.writer is None:
            return
        for name, value in row.items():
            if name != "epoch" and value is not None:
                self.writer.add_scalar(name, value, row["epoch"])
        self.writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
