"""MLflow, Weights & Biases and Trackio themselves, where they are installed, without a network.

Each has the methods of its fake and reads back what was written.
"""

from __future__ import annotations

import json
import struct
import sys
import time

import pytest

from tests.training.loggers.fakes import Logged, split


class RealMlflow:
    NAME = "mlflow"

    def __init__(self, tmp_path, patch):
        pytest.importorskip(
            "mlflow", reason="requires mlflow, or mlflow-skinny, sqlalchemy, alembic"
        )
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    def killed(self, logger):
        """A process ends without closing its runs."""

    def runs(self):
        from mlflow import MlflowClient

        client = MlflowClient()
        projects = {e.experiment_id: e.name for e in client.search_experiments()}
        found = client.search_runs(list(projects), order_by=["attributes.start_time"])
        return [
            Logged(
                projects[run.info.experiment_id],
                run.info.run_name,
                run.data.params,
                *split(
                    [
                        (metric.step, {metric.key: metric.value})
                        for name in run.data.metrics
                        for metric in client.get_metric_history(run.info.run_id, name)
                    ]
                ),
                run.info.status == "FINISHED",
            )
            for run in found
        ]


class RealWandb:
    """The folders of WANDB_MODE=offline, merged by their ids as `wandb sync` does."""

    NAME = "wandb"

    def __init__(self, tmp_path, patch):
        wandb = pytest.importorskip("wandb", reason="requires wandb")
        wandb.teardown()  # it reads the environment once
        self.folder = tmp_path / "wandb"
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_DIR", str(tmp_path))
        patch.setenv("WANDB_SILENT", "true")

    def killed(self, logger):
        logger.run.finish(exit_code=1)
        time.sleep(1)  # its folder is named by the second

    def runs(self):
        import wandb

        wandb.teardown()  # its service writes the files after `finish`
        found = {}
        for file in sorted(self.folder.glob("offline-run-*/*.wandb")):
            run = found.setdefault(file.stem, {"rows": {}, "scores": {}, "settings": {}})
            for record in records(file.read_bytes()):
                kind = record.WhichOneof("record_type")
                if kind == "run":
                    run |= {"project": record.run.project, "title": record.run.display_name}
                    run["settings"] |= values(record.run.config.update)
                elif kind == "history":
                    row = values(record.history.item)
                    run["rows"].setdefault(record.history.step.num, row)
                elif kind == "summary":
                    run["scores"] |= values(record.summary.update)
                elif kind == "exit":
                    run["finished"] = record.exit.exit_code == 0
        return [
            Logged(
                *(run["project"], run["title"], run["settings"], sorted(run["rows"].items())),
                {k.removeprefix("test/"): v for k, v in run["scores"].items() if "test/" in k},
                run["finished"],
            )
            for run in found.values()
        ]


def values(items):
    """Without W&B's own, such as the time."""
    pairs = {(item.key or "/".join(item.nested_key)): item.value_json for item in items}
    return {name: json.loads(text) for name, text in pairs.items() if name[0] != "_"}


def records(content):
    """Of a .wandb file: blocks of 32 KiB, parts of records with checksum, length and kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    at, part = 7, b""
    while at + 7 <= len(content):
        if (left := -at % 2**15) and left < 7:
            at += left
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        part += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(part)
            part = b""


class RealTrackio:
    NAME = "trackio"

    def __init__(self, tmp_path, patch):
        trackio = pytest.importorskip("trackio", reason="requires trackio")
        for module in list(sys.modules.values()):
            if module.__name__.startswith("trackio") and hasattr(module, "TRACKIO_DIR"):
                patch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
        self.api, self.finished = trackio.Api(), set()

    def killed(self, logger):
        import trackio

        trackio.finish()

    def runs(self):
        from trackio.sqlite_storage import SQLiteStorage

        found = []
        for project in SQLiteStorage.get_projects():
            for run in self.api.runs(project):
                logs = SQLiteStorage.get_logs(project, run.name, run_id=run.id)
                rows = [(log.pop("step"), log) for log in logs if log.pop("timestamp")]
                settings = {k: v for k, v in run.config.items() if k[0] != "_"}
                found.append(Logged(project, run.name, settings, *split(rows), True))
        return found


INSTALLED = (RealMlflow, RealTrackio, RealWandb)
