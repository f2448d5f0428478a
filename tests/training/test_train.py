"""One training, from its data to its folder."""

import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from tests.training.tiny_runs import settings, write_caches
from training import loop
from training.stages import train_teachers

FOLDER = Path("runs/any/teacher/seed_0/fold_1")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_caches()


def test_the_seconds_of_a_resumed_training_are_those_of_all_its_epochs(monkeypatch):
    """By a clock that advances by a second whenever it is read, as before and after an epoch."""
    clock = SimpleNamespace(perf_counter=itertools.count().__next__)
    monkeypatch.setattr("training.train.time", clock)
    monkeypatch.setattr("training.loop.time", clock)
    config = settings("any", "data.folds=1", "teacher.epochs=4")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_epoch", interrupted_in_epoch(3))
        with pytest.raises(KeyboardInterrupt):
            train_teachers(config)
    train_teachers(config)
    assert pd.read_csv(FOLDER / "history.csv")["seconds"].tolist() == [1, 1, 1, 1]
    record = json.loads((FOLDER / "metrics.json").read_text())
    assert record["seconds"] == 2 + 5, "before and since the interruption"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("data.hold_out=0.5",), "held-out training clips"),
        (("data.hold_out=0.5", "teacher.epochs=0"), "none"),
        (("data.protocol=paper", "teacher.epochs=0", "teacher.swa_start_epoch=1"), "none"),
        ((), "none"),
        (("teacher.swa_start_epoch=1",), "mean of epochs 1 to 1"),
    ],
)
def test_what_the_kept_epoch_was_chosen_on(overrides, expected):
    train_teachers(settings("any", "data.folds=1", *overrides))
    record = json.loads((FOLDER / "metrics.json").read_text())
    assert record["epoch_chosen_on"] == expected


def interrupted_in_epoch(number):
    train_epoch = loop.train_epoch

    def train(state, *arguments):
        if state.epoch + 1 == number:
            raise KeyboardInterrupt
        return train_epoch(state, *arguments)

    return train
