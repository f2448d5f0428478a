"""Weights & Biases: a project a run, a W&B run a training. WANDB_MODE=offline needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from training.loggers.logger import Logger, Settings, kept_id


class WeightsAndBiases(Logger):
    """Online, the server ignores epochs that its run has already. Offline, each process writes a
    folder of its own with the same id, which `wandb sync` merges.
    """

    package = "wandb"

    def __init__(self, folder: Path, name: str, settings: Settings, epoch: int) -> None:
        import wandb

        project, _, title = name.partition("/")
        self.run = wandb.init(
            project=project,
            name=title,
            id=kept_id(folder, self.package, lambda: uuid4().hex),
            config=dict(settings),
            resume="allow",
            reinit="create_new",  # a training that failed in this process may have left one
        )

    def add(self, row: Mapping[str, float]) -> None:
        self.run.log(dict(row), step=int(row["epoch"]), commit=True)

    def close(self, scores: Mapping[str, float]) -> None:
        self.run.summary.update({f"test/{name}": value for name, value in scores.items()})
        self.run.finish()
