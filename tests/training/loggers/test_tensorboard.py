"""TensorBoard shows the rows of history.csv, each once."""

import itertools
import time

import pytest

from training.loggers.tensorboard import FOLDER, TensorBoard

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def rows(first, last):
    return [{"epoch": e, "loss": 1 / e, "score": e / 10} for e in range(first, last)]


def shown(folder):
    found = event_accumulator.EventAccumulator(str(folder / FOLDER))
    found.Reload()
    return {
        name: [(event.step, pytest.approx(event.value)) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def test_a_resumed_training_shows_every_epoch_once(tmp_path, monkeypatch):
    """TensorBoard reads files in the order of their names, which begin with the second."""
    clock = itertools.count(time.time())
    monkeypatch.setattr("time.time", lambda: next(clock))
    killed, again = TensorBoard(tmp_path, "run/student", {}, 0), rows(3, 5)
    for row in [*rows(1, 3), {"epoch": 3, "loss": 9.0}]:  # the third epoch was not saved
        killed.add(row)
    killed.writer.close()
    resumed = TensorBoard(tmp_path, "run/student", {}, 2)
    for row in again:
        resumed.add(row)
    resumed.close({"accuracy": 0.5})
    assert shown(tmp_path) == {
        "loss": [(row["epoch"], row["loss"]) for row in rows(1, 5)],
        "score": [(row["epoch"], row["score"]) for row in rows(1, 5)],
    }
