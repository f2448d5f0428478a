"""MLflow, Weights & Biases and Trackio in memory: the calls of their loggers, and what they do.

`test_trackers` compares the signatures with those of the packages, where these are installed.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import NamedTuple


class Logged(NamedTuple):
    """One run of a tracker. rows: (step, figures) of the epochs, in the order of the steps."""

    project: str
    title: str
    settings: dict
    rows: list
    scores: dict
    finished: bool


def merged(rows):
    """{step: figures} of pairs (step, figures); a figure that is there twice: both values."""
    found = {}
    for step, figures in rows:
        for name, value in figures.items():
            found.setdefault(step, {}).setdefault(name, []).append(value)
    return [
        (step, {name: v[0] if len(v) == 1 else tuple(v) for name, v in one.items()})
        for step, one in sorted(found.items())
    ]


def split(rows):
    """The rows of epochs, and the test scores."""
    scores = {
        name.removeprefix("test/"): value
        for _, figures in rows
        for name, value in figures.items()
        if name.startswith("test/")
    }
    epochs = [
        (step, {name: value for name, value in figures.items() if not name.startswith("test/")})
        for step, figures in rows
    ]
    return merged([(step, figures) for step, figures in epochs if figures]), scores


class Metric(NamedTuple):
    key: str
    value: float
    timestamp: int
    step: int


class Param(NamedTuple):
    key: str
    value: str


class FakeMlflow:
    """A server that keeps all values of a metric, also those of one step."""

    NAME = "mlflow"

    def __init__(self, tmp_path, patch):
        self.experiments, self.stored = [], []
        server = self

        class MlflowClient:
            def get_experiment_by_name(self, name):
                if name not in server.experiments:
                    return None
                return SimpleNamespace(experiment_id=str(server.experiments.index(name)))

            def create_experiment(self, name):
                assert name not in server.experiments
                server.experiments.append(name)
                return str(len(server.experiments) - 1)

            def create_run(self, experiment_id, *, run_name):
                run = {"title": run_name, "params": {}, "metrics": [], "finished": False}
                run["project"] = server.experiments[int(experiment_id)]
                server.stored.append(run)
                return SimpleNamespace(info=SimpleNamespace(run_id=f"id{len(server.stored) - 1}"))

            def run(self, run_id):
                return server.stored[int(run_id.removeprefix("id"))]

            def get_metric_history(self, run_id, key):
                return [metric for metric in self.run(run_id)["metrics"] if metric.key == key]

            def log_batch(self, run_id, *, metrics=(), params=()):
                assert max(len(metrics), len(params)) <= 100, "a limit of the server"
                for name in (*(m.key for m in metrics), *(p.key for p in params)):
                    assert all(c.isalnum() or c in "_-./ " for c in name)
                assert all(isinstance(param.value, str) for param in params)
                self.run(run_id)["metrics"] += metrics
                self.run(run_id)["params"] |= dict(params)

            def set_terminated(self, run_id):
                self.run(run_id)["finished"] = True

        mlflow, entities = ModuleType("mlflow"), ModuleType("mlflow.entities")
        mlflow.MlflowClient, entities.Metric, entities.Param = MlflowClient, Metric, Param
        patch.setitem(sys.modules, "mlflow", mlflow)
        patch.setitem(sys.modules, "mlflow.entities", entities)
        self.signatures = {
            **{
                f"MlflowClient.{name}": f
                for name, f in vars(MlflowClient).items()
                if name[0] != "_"
            },
            "entities.Metric": Metric,
            "entities.Param": Param,
        }
        del self.signatures["MlflowClient.run"]

    def killed(self, logger):
        """A process ends without closing its runs."""

    def runs(self):
        return [
            Logged(
                *(run["project"], run["title"], run["params"]),
                *split([(metric.step, {metric.key: metric.value}) for metric in run["metrics"]]),
                run["finished"],
            )
            for run in self.stored
        ]


class FakeWandb:
    """A server that ignores the steps that a run has, in one process and over several."""

    NAME = "wandb"

    def __init__(self, tmp_path, patch):
        self.stored, self.open = {}, set()
        server = self

        class Run:
            def __init__(self, id):
                self.id, self.summary = id, server.stored[id]["scores"]

            def log(self, data, *, step, commit):
                assert commit, "a killed process loses a row that is not committed"
                rows = server.stored[self.id]["rows"]
                if not rows or step > rows[-1][0]:
                    rows.append((step, data))

            def finish(self):
                server.stored[self.id]["finished"] = True

        def init(*, project, name, id, config, resume, reinit):
            assert (resume, reinit) == ("allow", "create_new")
            new = {"project": project, "title": name, "settings": config}
            server.stored.setdefault(id, {**new, "rows": [], "scores": {}, "finished": False})
            return Run(id)

        wandb = ModuleType("wandb")
        wandb.init = init
        patch.setitem(sys.modules, "wandb", wandb)
        self.signatures = {"init": init, "Run.log": Run.log, "Run.finish": Run.finish}

    def killed(self, logger):
        """A process ends without closing its runs."""

    def runs(self):
        return [
            Logged(
                *(run["project"], run["title"], run["settings"], run["rows"]),
                {name.removeprefix("test/"): value for name, value in run["scores"].items()},
                run["finished"],
            )
            for run in self.stored.values()
        ]


class FakeTrackio:
    """A database in which a name may be that of several runs, and all rows of a step are kept."""

    NAME = "trackio"

    def __init__(self, tmp_path, patch):
        self.stored, self.current = [], None
        database = self

        class Run:
            def __init__(self, stored):
                self.stored = stored

            def log(self, metrics, *, step):
                self.stored["rows"].append((step, metrics))

        def init(project, name, *, config, resume):
            same = [run for run in self.stored if (run["project"], run["title"]) == (project, name)]
            if resume == "never" or not same:
                new = {"project": project, "title": name, "settings": config, "rows": []}
                same = [{**new, "finished": False}]
                self.stored += same
            database.current = Run(same[-1])
            return database.current

        def finish():
            database.current.stored["finished"] = True
            database.current = None

        trackio = ModuleType("trackio")
        trackio.init, trackio.finish = init, finish
        patch.setitem(sys.modules, "trackio", trackio)
        self.signatures = {"init": init, "Run.log": Run.log, "finish": finish}

    def killed(self, logger):
        """A process ends without closing its run."""
        self.current = None

    def runs(self):
        return [
            Logged(
                *(run["project"], run["title"], run["settings"], *split(run["rows"])),
                run["finished"],
            )
            for run in self.stored
        ]


FAKES = (FakeMlflow, FakeTrackio, FakeWandb)
