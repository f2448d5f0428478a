"""Studies: trials that are resumed, shared between processes, kept when they fail, and chosen."""

import argparse
import sys
import threading
import types
from pathlib import Path

import pandas as pd
import pytest

import train_student
import training.stages
from config import ConfigError, Study, load
from report.run import with_teachers
from tests.scripts import run
from tests.training import tiny_runs
from tests.training.tiny_runs import settings, write_caches
from training.optuna_search import EarlierTrial, propose
from training.run_folder import RUNS, write_results

NAMES = ("weights.safetensors", "metrics.json")


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    place = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        write_caches()
    return place


@pytest.fixture(autouse=True)
def place(features, tmp_path, monkeypatch):
    """The working folder, with features; without bootstrap intervals, which take half the time."""
    monkeypatch.setattr("report.study_comparisons.MAX_WORK", 0)
    for name in ("audio", "features"):
        (tmp_path / name).symlink_to(features / name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.ini").write_text(tiny_runs.CONFIG + "NAME = any\n")
    return tmp_path


@pytest.fixture
def trained(monkeypatch):
    """The titles of the trainings that were started; the nth one raises faults[n]."""
    started, train = [], training.stages.train

    def counted(fold, training, overwrite, counter):
        if not training.is_finished(fold.config):
            started.append(f"{fold.config.run.name}: {training.title}")
        if (fault := faults.get(len(started))) is not None:
            del faults[len(started)]
            raise fault
        train(fold, training, overwrite, counter)

    faults = {}
    started_and_faults = types.SimpleNamespace(titles=started, faults=faults)
    monkeypatch.setattr(training.stages, "train", counted)
    return started_and_faults


def study(*overrides, **flags):
    """The script with --study; the rows of its table."""
    arguments = argparse.Namespace(config=Path("config.ini"), set=list(overrides))
    vars(arguments).update(study=True, dry_run=False, overwrite=False, retry=False, debug=False)
    vars(arguments).update(flags)
    train_student.main(arguments, load(arguments.config, overrides))
    return pd.read_csv("runs/any/study.csv", keep_default_na=False, na_values=[""])


EPOCHS = "study.student.epochs=1 | 2"
FOLD = "data.folds=1"
VALIDATED = "data.hold_out=0.5"


def test_a_grid_trains_each_trial_with_the_one_teacher_and_nothing_twice(trained, capsys):
    rows = study(EPOCHS, "distillation.variants=ce, ce+kd")
    assert list(rows["student.epochs"]) == [1, 1, 2, 2]
    assert list(rows["variant"]) == ["ce", "ce+kd"] * 2
    assert set(rows["state"]) == {"finished"}
    assert set(rows["n"]) == {2}
    assert len(trained.titles) == 2 + 2 * 4  # teachers of two folds, two students of each trial
    runs = sorted(path.name for path in Path("runs").iterdir())
    assert runs == ["any", *sorted(set(rows["run"]))]
    for run_name in set(rows["run"]):
        assert not Path("runs", run_name, "teacher").exists()
        assert (load(Path("runs", run_name, "config.ini"))).run.teacher_run == "any"
    scores = pd.read_csv(Path("runs", rows["run"][1], "results.csv"))
    expected = scores[(scores["metric"] == "accuracy") & (scores["variant"] == "ce+kd")]["value"]
    assert rows["test"][1] == pytest.approx(expected.mean())

    before = {p: p.stat().st_mtime_ns for p in Path("runs").rglob("*") if p.name in NAMES}
    again = study("study.student.epochs=1 | 2 | 3", "distillation.variants=ce, ce+kd")
    assert len(trained.titles) == 10 + 4, "the new value alone"
    assert again["run"][:4].tolist() == rows["run"].tolist()
    assert before.items() <= {p: p.stat().st_mtime_ns for p in before}.items()


def test_without_validation_no_trial_is_chosen(capsys):
    rows = study(EPOCHS, FOLD)
    printed = capsys.readouterr().out
    assert "No trial is chosen: there are no validation scores" in " ".join(printed.split())
    assert "chosen on validation" not in printed
    assert rows["validation"].isna().all()
    assert list(rows["trial"]) == [1, 2]


def test_the_choice_is_by_the_validation_score(capsys):
    rows = study(EPOCHS, FOLD, VALIDATED)
    printed = capsys.readouterr().out
    best = rows["run"][rows["validation"].idxmax()]
    assert f"chosen on validation: runs/{best}, student.epochs=" in printed


def test_a_killed_study_resumes(trained):
    trained.faults[4] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        study(EPOCHS)
    assert len(trained.titles) == 4, "two teachers, a student, and the one that was killed"
    assert list(Path("runs/any/trials").glob("*.json")) == []
    rows = study(EPOCHS)
    assert len(trained.titles) == 4 + 3, "the finished student is not trained again"
    assert list(rows["state"]) == ["finished", "finished"]


def test_a_trial_that_fails_is_kept_and_the_others_go_on(trained, capsys):
    trained.faults[2] = RuntimeError("out of memory")
    rows = study(EPOCHS, FOLD)
    assert list(rows["state"]) == ["failed", "finished"]
    assert rows["error"][0] == "RuntimeError: out of memory"
    assert "trial 1 failed: RuntimeError: out of memory" in capsys.readouterr().out
    log = next(Path("runs").glob("any-*/log.txt"), None)
    assert log is not None

    assert list(study(EPOCHS, FOLD)["state"]) == ["failed", "finished"]
    assert len(trained.titles) == 3, "a failed trial is not tried again unasked"
    assert list(study(EPOCHS, FOLD, retry=True)["state"]) == ["finished", "finished"]
    assert len(trained.titles) == 4


def test_settings_that_are_wrong_in_one_trial_fail_and_in_all_are_refused():
    rows = study("study.student.epochs=1 | -1", FOLD)
    assert list(rows["state"]) == ["finished", "failed"]
    assert "found -1" in rows["error"][1]
    with pytest.raises(ConfigError, match=r"\[student\] epoch: .*nearest: epochs"):
        study("study.student.epoch=1 | 2", FOLD)


def test_more_seeds_are_trained_and_other_settings_are_refused(trained):
    study(EPOCHS, FOLD)
    rows = study(EPOCHS, FOLD, "run.seeds=0, 1")
    assert set(rows["n"]) == {2}
    assert len(trained.titles) == 2 * 3
    rows = study(EPOCHS, FOLD, "student.learning_rate=0.1")
    assert set(rows["state"]) == {"failed"}
    assert rows["error"].str.contains("was trained with other settings").all()
    assert set(study(EPOCHS, FOLD, "run.workers=3", dry_run=True)["state"]) == {"waiting"}
    rows = study(EPOCHS, FOLD, "student.learning_rate=0.1", overwrite=True, retry=True)
    assert set(rows["state"]) == {"finished"}


def test_overwrite_trains_finished_trials_again_and_the_teacher_where_it_is_another():
    def written():
        found = Path("runs").glob("**/weights.safetensors")
        return {path.relative_to("runs"): path.stat().st_mtime_ns for path in found}

    def again(*overrides):
        before = written()
        rows = study(EPOCHS, FOLD, *overrides, overwrite=True)
        assert set(rows["state"]) == {"finished"}
        return sorted(path.parts[1] for path, time in written().items() if time > before[path])

    study(EPOCHS, FOLD)
    assert again() == ["student", "student"], "another process may use the teacher"
    assert again("teacher.epochs=2") == ["student", "student", "teacher"]


def test_teachers_with_other_settings_are_trained_once_each(trained):
    rows = study("study.teacher.epochs=1 | 2", "study.student.epochs=1 | 2", FOLD)
    teachers = {load(Path("runs", name, "config.ini")).run.teacher_run for name in rows["run"]}
    assert len(teachers) == 2
    assert "any" in teachers
    (other,) = teachers - {"any"}
    assert other.startswith("any-teacher_")
    assert sum(": teacher" in title for title in trained.titles) == 2
    assert load(Path("runs", other, "config.ini")).teacher.epochs == 2


def test_students_of_labels_alone_need_no_teacher(trained):
    study(EPOCHS, FOLD, "distillation.variants=ce")
    assert [": student ce" in title for title in trained.titles] == [True, True]


def test_a_dry_run_trains_nothing(trained):
    rows = study(EPOCHS, FOLD, dry_run=True)
    assert list(rows["state"]) == ["waiting", "waiting"]
    assert trained.titles == []


def test_processes_share_the_trials(place, capsys):
    """Two at once: every training is done by one of them."""
    overrides = ("--study", "--set", "study.student.epochs=1 | 2 | 3", "--set", FOLD)
    printed = []
    threads = [
        threading.Thread(target=lambda: printed.append(run(place, "train_student.py", *overrides)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = "".join(printed)
    assert len(printed) == 2
    for trial in (1, 2, 3):
        assert text.count(f"trial {trial}: student.epochs={trial}\n") == 1
    assert all("trial 1: " in one or "trial 2: " in one for one in printed)
    rows = study("study.student.epochs=1 | 2 | 3", FOLD)
    assert list(rows["state"]) == ["finished"] * 3
    assert not list(Path("runs").rglob("*.lock"))


def test_a_run_uses_the_teachers_of_another(trained):
    write = training.stages.train_teachers
    write(settings("shared", FOLD))
    students = settings("any", FOLD, "run.teacher_run=shared", "distillation.variants=ce+kd, ce+sp")
    training.stages.train_students(students)
    assert [path.name for path in Path("runs/any").iterdir() if path.is_dir()] == ["student"]
    assert list(Path("runs/shared/teacher").rglob("logits.*.npy"))
    write_results("shared")
    shown = with_teachers(write_results("any"), students, RUNS)
    assert list(shown["role"].unique()) == ["teacher", "student"]
    assert set(shown["fold"]) == {1}
    with pytest.raises(
        ConfigError, match=r"\[run\] teacher_run: found 'shared', whose teachers are"
    ):
        write(students)


# Optuna -------------------------------------------------------------------------------------------


class Stub:
    """The calls of Optuna that proposals make; it proposes the lowest value not yet told."""

    def __init__(self):
        self.told, self.seeds = [], []
        kind = lambda name: lambda *args, **kwargs: (name, args, kwargs)  # noqa: E731
        self.samplers = types.SimpleNamespace(TPESampler=self.sampler)
        self.distributions = types.SimpleNamespace(
            CategoricalDistribution=kind("choice"),
            IntDistribution=kind("int"),
            FloatDistribution=kind("float"),
        )
        states = types.SimpleNamespace(COMPLETE="complete", FAIL="fail", RUNNING="running")
        self.trial = types.SimpleNamespace(TrialState=states, create_trial=lambda **trial: trial)

    def sampler(self, *, seed, constant_liar):
        self.seeds.append(seed)

    def create_study(self, *, direction, sampler):
        assert direction == "maximize"
        self.told.append([])
        return self

    def add_trial(self, trial):
        self.told[-1].append(trial)

    def ask(self, distributions):
        params = {}
        for key, (name, args, _) in distributions.items():
            params[key] = args[0][0] if name == "choice" else args[0] + len(self.told[-1])
        return types.SimpleNamespace(params=params)


@pytest.fixture
def optuna(monkeypatch):
    stub = Stub()
    monkeypatch.setitem(sys.modules, "optuna", stub)
    return stub


OPTUNA = ("study.method=optuna", "study.student.epochs=1 .. 8", FOLD)


def test_optuna_is_told_the_validation_scores(optuna, trained):
    trained.faults[3] = RuntimeError("out of memory")  # the second student
    rows = study(*OPTUNA, VALIDATED, "study.trials=3")
    assert list(rows["student.epochs"]) == [1, 2, 3]
    assert list(rows["state"]) == ["finished", "failed", "finished"]
    first, second, third = optuna.told
    assert first == []
    assert [trial["state"] for trial in third] == ["complete", "fail"]
    assert third[0]["value"] == rows["validation"][0]
    assert third[0]["params"] == {"student.epochs": 1}
    assert third[0]["distributions"] == {"student.epochs": ("int", (1, 8), {"log": False})}
    assert len(set(optuna.seeds)) == 3
    more = study(*OPTUNA, VALIDATED, "study.trials=4")
    assert list(more["student.epochs"]) == [1, 2, 3, 4]
    assert len(optuna.told) == 4, "those of before are not proposed again"


def test_optuna_requires_validation_scores(optuna):
    with pytest.raises(ConfigError, match=r"\[study\] method: .* requires validation scores"):
        study(*OPTUNA)


def test_without_the_package_the_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"\[study\] method: .*pip install optuna"):
        study(*OPTUNA)


def test_the_package_itself_proposes_values_of_each_space():
    pytest.importorskip("optuna")
    options = {"a.b": "1 .. 8", "a.c": "0.001 .. 0.1 log", "a.d": "ce | ce, ce+kd"}
    searched = Study(method="optuna", trials=3, options=options)
    earlier = []
    for score, failed in ((0.5, False), (None, True), (None, False), (0.7, False)):
        values = propose(searched, earlier)
        assert values == propose(searched, earlier)
        assert int(values["a.b"]) in range(1, 9)
        assert 0.001 <= float(values["a.c"]) <= 0.1
        assert values["a.d"] in ("ce", "ce, ce+kd")
        earlier.append(EarlierTrial(values, score, failed))
