"""What a training shows: a bar per batch on a terminal, one line per epoch elsewhere."""

import io
import os
import sys

import pytest
import torch

from training.plan import Training
from training.progress import Counter, ProgressBar
from training.role import STUDENT

ROW = {"epoch": 1, "learning_rate": 0.1, "loss": 0.5, "kd": 0.25, "score": 0.75, "seconds": 3.0}
TITLE = "training 4 of 9: student bce+kd seed 1"


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Narrow(Terminal):
    def fileno(self):
        return 2


def shown(monkeypatch, stream, epochs=2, batches=3, title=TITLE):
    monkeypatch.setattr(sys, "stderr", stream)
    bar = ProgressBar(title, epochs, batches, 0)
    for epoch in range(1, epochs + 1):
        for _ in range(batches):
            bar.end_batch(torch.tensor(0.5, requires_grad=True))
        bar.end_epoch({**ROW, "epoch": epoch})
    bar.close()
    return stream.getvalue()


def test_a_title_numbers_the_trainings_of_a_command():
    counter, training = Counter(9), Training(STUDENT, "bce+kd", 1, 0)
    assert [counter.title(training) for _ in range(4)][-1] == TITLE
    assert counter.title(training._replace(fold=2)).endswith("5 of 9: student bce+kd seed 1 fold 2")


def test_elsewhere_there_is_one_line_per_epoch(monkeypatch):
    assert shown(monkeypatch, io.StringIO()).splitlines() == [
        f"{TITLE}: epoch 1 of 2, loss 0.5000, kd 0.2500, score 0.7500",
        f"{TITLE}: epoch 2 of 2, loss 0.5000, kd 0.2500, score 0.7500",
    ]


def test_on_a_terminal_there_is_a_bar_over_all_batches(monkeypatch):
    last = shown(monkeypatch, Terminal()).split("\r")[-1]
    assert last.startswith("4 of 9: student bce+kd seed 1: 100% ")
    assert last.rstrip("\n").endswith(", loss=0.500, score=0.750")


def test_the_bar_of_a_fold_shows_loss_and_score_in_80_columns(monkeypatch):
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((80, 24)))
    long = "training 4 of 9: student bce+kd+sp seed 1 fold 1"
    last = shown(monkeypatch, Narrow(), title=long).rstrip("\n").split("\r")[-1]
    assert len(last) <= 80
    assert ", loss=0.500, score=0.75" in last


def test_without_epochs_there_is_no_bar(monkeypatch):
    assert shown(monkeypatch, Terminal(), epochs=0) == ""


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_other_ranks_show_nothing(monkeypatch, stream):
    monkeypatch.setattr("training.progress.rank", lambda: 1)
    assert shown(monkeypatch, stream()) == ""
