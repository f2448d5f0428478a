"""[run] LOGGER: which loggers there are, and that no training depends on them."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

import config
from config import ConfigError
from tests.training.loggers.fakes import FAKES
from tests.training.tiny_runs import settings, write_caches
from training.dry_run import print_plan
from training.loggers import LOGGERS, chosen
from training.loggers.chosen import Loggers
from training.loggers.logger import Logger
from training.stages import train_students, train_teachers
from training.study import StudyRun

ROW = {"epoch": 1, "loss": 1.0, "score": None}
FOLD = "data.folds=1"
TRAININGS = ("teacher/seed_0/fold_1", "student/ce+kd/seed_0/fold_1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run without loggers, and its features."""
    place = tmp_path_factory.mktemp("loggers")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        write_caches()
        train("plain", "run.logger=none")
    return place


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    for name in ("audio", "features", "runs"):
        (tmp_path / name).symlink_to(trained / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def installed(monkeypatch):
    """The packages that there are."""
    names = {"tensorboard"}

    def find(name):
        return SimpleNamespace(origin=f"{name}/__init__.py") if name in names else None

    monkeypatch.setattr(importlib.util, "find_spec", find)
    return names


def train(name, *overrides):
    train_teachers(settings(name, FOLD, *overrides))
    train_students(settings(name, FOLD, *overrides))


def weights(run):
    return [load_file(f"runs/{run}/{training}/weights.safetensors") for training in TRAININGS]


def is_equal(run, other):
    return all(
        one.keys() == two.keys() and all(one[name].equal(two[name]) for name in one)
        for one, two in zip(weights(run), weights(other), strict=True)
    )


class Failing(Logger):
    package = "failing"
    at, calls = "", []

    def __init__(self, folder, name, settings, epoch):
        self.call("start")

    def add(self, row):
        self.call("add")

    def close(self, scores):
        self.call("close")

    def call(self, at):
        self.calls.append(at)
        if at == self.at:
            raise ConnectionError("the network is down")


@pytest.fixture
def failing(monkeypatch):
    monkeypatch.setitem(LOGGERS, "failing", Failing)
    monkeypatch.setattr(Failing, "calls", [])
    return Failing


@pytest.mark.parametrize(
    ("at", "calls"),
    [
        ("start", ["start"]),
        ("add", ["start", "add"]),
        ("close", ["start", "add", "add", "close"]),
        ("", ["start", "add", "add", "close"]),
    ],
)
def test_a_logger_that_fails_is_off_with_one_warning(
    failing, monkeypatch, tmp_path, capsys, at, calls
):
    monkeypatch.setattr(failing, "at", at)
    loggers = Loggers(["failing"], tmp_path, "run/student", {})
    loggers.start(0)
    for epoch in (1, 2):
        loggers.add(ROW | {"epoch": epoch})
    loggers.close({"accuracy": 0.5})
    assert failing.calls == calls
    warning = "warning: failing is off for the rest of run/student: the network is down\n"
    assert capsys.readouterr().err == (warning if at else "")


def test_a_logger_that_fails_leaves_the_others(failing, monkeypatch, tmp_path):
    monkeypatch.setattr(failing, "at", "start")
    fake = FAKES[1](tmp_path, monkeypatch)
    loggers = Loggers(["failing", fake.NAME], tmp_path, "run/student", {})
    loggers.start(0)
    loggers.add(ROW)
    loggers.close({"accuracy": 0.5})
    (run,) = fake.runs()
    assert (run.rows, run.scores) == ([(1, {"epoch": 1, "loss": 1.0})], {"accuracy": 0.5})


@pytest.mark.parametrize("fake", [*FAKES, None], ids=lambda kind: getattr(kind, "NAME", "default"))
def test_weights_are_the_same_with_a_logger(place, monkeypatch, tmp_path, fake):
    name = fake.NAME if fake else "default"
    tracker = fake(tmp_path, monkeypatch) if fake else None
    if fake:
        monkeypatch.setattr(chosen, "is_installed", lambda name: True)
    train(name, f"run.logger={fake.NAME if fake else ''}")
    assert is_equal(name, "plain")
    if not fake:
        return
    teacher, student = tracker.runs()
    assert (teacher.project, teacher.title) == (name, TRAININGS[0])
    assert (student.project, student.title) == (name, TRAININGS[1])
    assert [step for step, _ in student.rows] == [1, 2]
    assert {"epoch", "learning_rate", "loss", "ce", "kd", "seconds"} == set(student.rows[0][1])
    assert 0 <= student.scores["accuracy"] <= 1
    shown = student.settings
    assert {str(shown[key]) for key in ("student.epochs", "student.batch_size")} == {"2"}
    assert (shown["variant"], str(shown["seed"]), str(shown["fold"])) == ("ce+kd", "0", "1")
    assert student.finished


def test_weights_are_the_same_with_a_logger_that_fails(
    place, failing, installed, monkeypatch, capsys
):
    monkeypatch.setattr(failing, "at", "add")
    installed.add("failing")
    train("failed", "run.logger=failing")
    assert is_equal("failed", "plain")
    assert capsys.readouterr().err.count("warning: failing is off") == 2


def test_finished_trainings_stay_finished_with_another_logger(place, capsys):
    capsys.readouterr()
    train("plain", "run.logger=tensorboard")
    assert capsys.readouterr().out.count("already finished") == 2


def test_a_study_is_the_same_with_another_logger(place):
    key = "study.student.learning_rate=0.001 | 0.003"
    fingerprints = set()
    for logger in ("", "none", "tensorboard"):
        overrides = [key, f"run.logger={logger}"]
        run = StudyRun(
            settings("any", *overrides),
            lambda more, overrides=overrides: settings("any", *overrides, *more),
            lambda config: 0.0,
        )
        fingerprints.add(run.fingerprint(next(run.trials())))
    assert len(fingerprints) == 1


def test_the_default_is_tensorboard_where_it_is_installed(installed, tmp_path):
    assert chosen.names_of(()) == ("tensorboard",)
    installed.clear()
    assert chosen.names_of(()) == ()
    chosen.check_installed(())
    loggers = Loggers((), tmp_path, "run/student", {})
    loggers.start(0)
    loggers.add(ROW)
    loggers.close({})
    assert not list(tmp_path.iterdir())


def test_none_is_no_logger(installed, tmp_path):
    assert chosen.names_of(("none",)) == ()
    assert chosen.names_of(("tensorboard", "mlflow")) == ("tensorboard", "mlflow")


def test_only_the_first_process_logs(failing, monkeypatch, tmp_path):
    monkeypatch.setattr(chosen, "rank", lambda: 1)
    loggers = Loggers(["failing"], tmp_path, "run/student", {})
    loggers.start(0)
    loggers.add(ROW)
    loggers.close({})
    assert failing.calls == []


@pytest.mark.parametrize("name", sorted(LOGGERS))
def test_a_logger_that_is_not_installed_is_an_error_before_any_work(
    name, installed, tmp_path, monkeypatch, capsys
):
    """No features are looked for; a study has no failed trial; --dry-run lists it."""
    monkeypatch.chdir(tmp_path)
    installed.clear()
    experiment = settings("any", f"run.logger={name}")
    line = f"found '{name}', but the package {name} is not installed: python -m pip install {name}"
    study = StudyRun(experiment, lambda more: experiment, lambda config: 0.0)
    works = (
        lambda: train_teachers(experiment),
        lambda: train_students(experiment),
        lambda: study.train(False, False),
    )
    for work in works:
        with pytest.raises(ConfigError) as error:
            work()
        assert str(error.value) == f"[run] logger: {line}"
    assert not Path("runs").exists()
    print_plan(experiment, "teacher")
    assert f"missing: [run] logger: {line}\n" in capsys.readouterr().out


def test_a_folder_of_this_name_is_no_package(tmp_path, monkeypatch):
    """W&B writes into `wandb/` in the working folder, from which Python imports, too."""
    monkeypatch.setattr(LOGGERS["wandb"], "package", "written_by_wandb")
    (tmp_path / "written_by_wandb").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not chosen.is_installed("wandb")
    (tmp_path / "written_by_wandb/__init__.py").touch()
    assert chosen.is_installed("wandb")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("tensorbord", r"found 'tensorbord'; nearest: tensorboard \(allowed: mlflow, none, "),
        ("tensorboard, wand", "found 'wand'; nearest: wandb"),
        ("none, wandb", "found none, wandb, expected loggers or none"),
        ("wandb, wandb", "found wandb, wandb, expected no duplicates"),
    ],
)
def test_a_wrong_value_is_an_error(tmp_path, monkeypatch, value, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        train_teachers(settings("any", f"run.logger={value}"))


def test_the_key_names_every_logger():
    meaning = config.key_fields(config.Run)["logger"].metadata["doc"]
    assert all(name in meaning for name in LOGGERS)
