"""TensorBoard shows the rows of history.csv, each once."""

import itertools
import sys
import time

import pytest

from training.scalars import FOLDER, Scalars


def rows(first, last):
    return [{"epoch": e, "loss": 1 / e, "score": e / 10, "kd": None} for e in range(first, last)]


def shown(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder / FOLDER))
    found.Reload()
    return {
        name: [(event.step, pytest.approx(event.value)) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def test_a_resumed_training_shows_every_epoch_once(tmp_path, monkeypatch):
    """TensorBoard reads files in the order of their names, which begin with the second."""
    clock = itertools.count(time.time())
    monkeypatch.setattr("time.time", lambda: next(clock))
    killed, again = Scalars(tmp_path, 0), rows(3, 5)
    for row in [*rows(1, 3), {"epoch": 3, "loss": 9.0}]:  # the third epoch was not saved
        killed.add(row)
    killed.close()
    resumed = Scalars(tmp_path, 2)
    for row in again:
        resumed.add(row)
    resumed.close()
    assert shown(tmp_path) == {
        "loss": [(row["epoch"], row["loss"]) for row in rows(1, 5)],
        "score": [(row["epoch"], row["score"]) for row in rows(1, 5)],
    }


def test_without_tensorboard_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    scalars = Scalars(tmp_path, 0)
    scalars.add({"epoch": 1, "loss": 1.0})
    scalars.close()
    assert not list(tmp_path.iterdir())
