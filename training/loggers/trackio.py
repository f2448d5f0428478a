"""Trackio: a project a run, a Trackio run a training, in a local database by default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from training.loggers.logger import Logger, Settings


class Trackio(Logger):
    """Trackio resumes the last run of a name, not an id, and keeps all rows of an epoch: one that
    the killed process wrote after its last checkpoint is there twice.
    """

    package = "trackio"

    def __init__(self, folder: Path, name: str, settings: Settings, epoch: int) -> None:
        import trackio

        project, _, title = name.partition("/")
        self.run = trackio.init(
            project=project,
            name=title,
            config=dict(settings),
            resume="allow" if epoch else "never",
        )
        self.epoch = epoch

    def add(self, row: Mapping[str, float]) -> None:
        self.epoch = int(row["epoch"])
        self.run.log(dict(row), step=self.epoch)

    def close(self, scores: Mapping[str, float]) -> None:
        import trackio

        self.run.log({f"test/{name}": value for name, value in scores.items()}, step=self.epoch)
        trackio.finish()
