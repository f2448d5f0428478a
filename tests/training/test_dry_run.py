"""--dry-run names trainings that are finished, and those of other settings."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from data.tables.clips import Clip, ClipTable
from tests.training.tiny_runs import settings, write_caches, write_features
from training.dry_run import print_plan
from training.stages import train_students, train_teachers

FOLD = "data.folds=1"
PAIR = ("specialists.pairs=1", "specialists.epochs=1", "specialists.batch_size=2")


@pytest.fixture
def plan(tmp_path, monkeypatch, capsys):
    """The printed plan of training students with other settings than before."""
    monkeypatch.chdir(tmp_path)
    write_caches()
    train_teachers(settings("run", FOLD))
    train_students(settings("run", FOLD))
    capsys.readouterr()

    def printed(*overrides):
        print_plan(settings("run", FOLD, *overrides), "student")
        return capsys.readouterr().out

    return printed


def test_finished_trainings_are_named(plan):
    found = plan()
    assert "student ce+kd seed 0 fold 1: 2 epochs, finished\n" in found
    assert "missing" not in found


def test_what_was_trained_with_other_settings_is_named(plan):
    found = plan("student.batch_size=4")
    assert "2 epochs, finished with other settings (student.batch_size: 2 -> 4)\n" in found
    assert "missing" not in found
    changed = "finished with other settings (teacher.epochs: 1 -> 3)"
    assert f"missing: runs/run/teacher/seed_0/fold_1: {changed}\n" in plan("teacher.epochs=3")


def test_an_option_that_was_removed_is_named(plan):
    used = "student.dropout=0.5", "loss.kd.temperature=3"
    train_students(settings("run", FOLD, *used), overwrite=True)
    changed = "loss.kd.temperature: 3 -> unset; student.dropout: 0.5 -> unset"
    assert f"2 epochs, finished with other settings ({changed})\n" in plan()


def test_a_finished_specialist_whose_teacher_was_removed_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    clips = [
        Clip(f"{n}.wav", Path(f"{n}.wav"), labels={"abc"[n % 3]: 1.0}, split=split)
        for n, split in enumerate(["train"] * 9 + ["validate"] * 3 + ["test"] * 3)
    ]
    features = np.random.default_rng(0).normal(size=(15, 1, 16, 8))
    config = settings("run", *PAIR)
    write_features(config, ClipTable.of(clips, ("a", "b", "c"), "single_label"), features)
    train_teachers(config)
    print_plan(config, "teacher")
    assert "specialist_1 ce seed 0: 1 epochs, finished\n" in capsys.readouterr().out
    shutil.rmtree("runs/run/teacher")
    print_plan(config, "teacher")
    expected = "specialist_1 ce seed 0: 1 epochs, finished (runs/run/teacher/seed_0/fold_0/"
    assert expected in capsys.readouterr().out
