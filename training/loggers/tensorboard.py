"""Curves for TensorBoard: `tensorboard --logdir runs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from training.loggers.logger import Logger, Settings

FOLDER = "tensorboard"  # next to history.csv


class TensorBoard(Logger):
    """Writes each row of the history; a training that resumes replaces the rows of later epochs
    that an earlier process wrote. Settings and test scores are no curves: they are not written.
    """

    package = "tensorboard"

    def __init__(self, folder: Path, name: str, settings: Settings, epoch: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(folder / FOLDER, purge_step=epoch + 1)

    def add(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name != "epoch":
                self.writer.add_scalar(name, value, row["epoch"])
        self.writer.flush()

    def close(self, scores: Mapping[str, float]) -> None:
        self.writer.close()
