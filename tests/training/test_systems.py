"""The figures of a system on the test clips and on groups of them."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import data.tables.clips
from data.tables.clips import Clip, ClipTable
from training.systems import figures_of

SCENES = ("bus", "tram")
DEVICES = ("s1", "a", "s4", "a", "s4")  # the first is no test clip
PREDICTED = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.7, 0.3]])  # bus, tram, bus, tram


def experiment(task):
    clips = [
        Clip(
            id=f"{n}.wav",
            path=Path(f"{n}.wav"),
            labels={SCENES[(n + 1) % 2]: 1.0},
            extras={"device": device, "city": "oslo", "take": str(n)},
        )
        for n, device in enumerate(DEVICES)
    ]
    metric = {"single_label": "macro_accuracy", "multi_label": "macro_auprc"}[task]
    return SimpleNamespace(
        table=ClipTable.of(clips, SCENES, task),
        experiment=SimpleNamespace(metric=metric),
        split=SimpleNamespace(test=np.arange(1, 5)),
    )


def figures(task):
    fold = experiment(task)
    return figures_of(fold, PREDICTED, fold.table.targets[fold.split.test])


def test_scenes_have_figures_of_each_class_and_device():
    found = figures("single_label")
    assert found["accuracy"] == pytest.approx(3 / 4)
    assert found["macro_accuracy bus"] == found["class bus accuracy"] == pytest.approx(1)
    by_hand = {
        "class tram accuracy": 1 / 2,
        "class tram log_loss": -(math.log(0.8) + math.log(0.3)) / 2,
        "class tram clips": 2,
        "device a accuracy": 1,
        "device a log_loss": -(math.log(0.9) + math.log(0.5)) / 2,
        "device a clips": 2,
        "device s4 accuracy": 1 / 2,
        "device s4 log_loss": -(math.log(0.8) + math.log(0.3)) / 2,
        "device s4 clips": 2,
    }
    assert {name: found[name] for name in by_hand} == pytest.approx(by_hand)


def test_groups_of_all_clips_or_of_few_clips_have_no_figures(monkeypatch):
    monkeypatch.setattr(data.tables.clips, "MOST_GROUPS", 3)
    kinds = {name.partition(" ")[0] for name in figures("single_label")}
    assert "device" in kinds
    assert not kinds & {"city", "take"}


def test_tags_have_no_figures_by_group():
    assert not [name for name in figures("multi_label") if "device" in name]
