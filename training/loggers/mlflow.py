"""MLflow: an experiment a run, an MLflow run a training. MLFLOW_TRACKING_URI names the server."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

from training.loggers.logger import Logger, Settings, kept_id

AT_ONCE = 100  # parameters or metrics that the server takes in one request


class Mlflow(Logger):
    """A training that resumes adds the epochs that its run lacks; a metric has no other way to
    replace a value.
    """

    package = "mlflow"

    def __init__(self, folder: Path, name: str, settings: Settings, epoch: int) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient()
        self.run = kept_id(folder, self.package, lambda: self.new_run(name, settings))
        self.written = {m.step for m in self.client.get_metric_history(self.run, "epoch")}

    def new_run(self, name: str, settings: Settings) -> str:
        from mlflow.entities import Param

        project, _, title = name.partition("/")
        found = self.client.get_experiment_by_name(project)
        experiment = found.experiment_id if found else self.client.create_experiment(project)
        run = self.client.create_run(experiment, run_name=title).info.run_id
        params = [Param(key, str(value)) for key, value in settings.items()]
        for start in range(0, len(params), AT_ONCE):
            self.client.log_batch(run, params=params[start : start + AT_ONCE])
        return run

    def add(self, row: Mapping[str, float]) -> None:
        if row["epoch"] not in self.written:
            self.log(row, int(row["epoch"]))

    def close(self, scores: Mapping[str, float]) -> None:
        names = {name: re.sub(r"[^\w .-]", "_", name) for name in scores}  # a class has any name
        self.log({f"test/{names[name]}": value for name, value in scores.items()}, 0)
        self.client.set_terminated(self.run)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step) for name, value in figures.items()]
        for start in range(0, len(metrics), AT_ONCE):
            self.client.log_batch(self.run, metrics=metrics[start : start + AT_ONCE])
