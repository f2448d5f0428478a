"""Labels that a teacher's logits add to the training clips: of the fold, of its trainings."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from config import ConfigError, UserError
from data.tables.clips import Clip, ClipTable
from tests.training.tiny_runs import settings, write_features
from training.experiment import Experiment
from training.fold import open_fold
from training.inputs import build_batches, positive_weight
from training.logits.__main__ import main
from training.logits.table import Logits
from training.role import STUDENT
from training.stages import train_students, train_teachers

CLASSES = ("Animal", "Dog", "Engine", "Other")
SPLITS = ["train"] * 8 + ["validate"] * 4 + ["test"] * 4
LABELS = [["Animal", "Dog"], ["Engine"], ["Dog"], ["Animal"]] * 4
IDS = [f"{n:02d}.wav" for n in range(16)]
ONTOLOGY = [("Animal", "Pets"), ("Pets", "Dog"), ("Dog",), ("Engine",)]
TAGS = ("data.task=multi_label", "distillation.variants=bce+kd")
ENHANCED = ("data.enhance_labels=logits.safetensors", "data.ontology=ontology.json")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Sixteen clips with tags: a Dog is low, an Engine high. A folder with their features."""
    monkeypatch.chdir(tmp_path)
    Path("audio").mkdir()
    for name in IDS:
        Path("audio", name).write_bytes(b"sound")
    clips = [
        Clip(id=name, path=Path("audio", name), labels=dict.fromkeys(names, 1.0), split=split)
        for name, names, split in zip(IDS, LABELS, SPLITS, strict=True)
    ]
    features = np.random.default_rng(0).normal(size=(16, 1, 16, 8)) * 0.3
    for n, names in enumerate(LABELS):
        features[n, :, :, slice(4, 8) if "Engine" in names else slice(4)] += 2
    write_features(settings("any", *TAGS), ClipTable.of(clips, CLASSES, "multi_label"), features)
    write_ontology()


def write_ontology(*more):
    nodes = [
        {"id": name, "name": name, "child_ids": children, "restrictions": []}
        for name, *children in (*ONTOLOGY, *more)
    ]
    Path("ontology.json").write_text(json.dumps(nodes))


def write_logits(values=None, ids=IDS, classes=CLASSES, trained=range(8)):
    """By default those of all classes are 2 for clips 2 and 3, and their test clip 14, else 1."""
    if values is None:
        values = np.ones((len(ids), len(classes)))
        values[[2, 3, 14]] = 2
    Logits(
        where=Path("any"),
        ids=pd.Index(ids),
        classes=classes,
        values=np.asarray(values, np.float32),
        trained=None if trained is None else np.isin(np.arange(len(ids)), trained),
        record={},
        made_from={},
    ).write(Path("logits.safetensors"))


def opened(*overrides):
    config = settings("any", *TAGS, *overrides)
    return open_fold(Experiment.open(config, "teacher", "student"), 0)


def labels_of(fold):
    return [[CLASSES[k] for k in np.flatnonzero(row)] for row in fold.table.targets[:]]


def test_training_clips_get_labels_and_all_others_keep_theirs(capsys):
    """Clip 2, a Dog, is above the mean of Animal, its ancestor over Pets, which is no class. Clip 3
    is above that of Dog, but Dog is no child of its label. Test clip 14 has the logits of clip 2.
    """
    write_logits()
    fold = opened(*ENHANCED)
    expected = [list(names) for names in LABELS]
    expected[2] = ["Animal", "Dog"]
    assert labels_of(fold) == expected
    assert labels_of(opened()) == LABELS
    printed = capsys.readouterr().out
    assert "[data] enhance_labels: the 10 labels of the training clips become 11\n" in printed
    assert "ontology.json has no node for 1 of 4 classes: 'Other'\n" in printed


def test_batches_and_weights_have_the_added_labels():
    write_logits()
    fold = opened(*ENHANCED)
    batches = list(build_batches(fold, STUDENT, 0, ("student",), labelled_only=True).epoch(0))
    assert sorted(row for batch in batches for row in batch.rows.tolist()) == list(range(8))
    for batch in batches:
        assert batch.targets.tolist() == fold.table.targets[batch.rows.numpy()].tolist()
    weight = positive_weight(fold, settings("any", "student.pos_weight=balanced").student)
    assert weight.tolist() == pytest.approx([3 / 5, 4 / 4, 6 / 2, 100.0])


def test_a_lower_threshold_adds_more_labels():
    values = np.ones((16, 4))
    values[:8, 0] = [1, 9, 4, 2, 2, 9, 1.5, 3]  # of Animal: 1, 2, 2 and 3 for 0, 3, 4 and 7
    write_logits(values)
    added = {
        kind: labels_of(opened(*ENHANCED, f"data.enhance_threshold={kind}"))
        for kind in ("mean", "median", "p25", "p10", "p5")
    }
    dogs = {kind: [n for n in (2, 6) if "Animal" in found[n]] for kind, found in added.items()}
    assert dogs == {"mean": [2], "median": [2], "p25": [2], "p10": [2, 6], "p5": [2, 6]}


def test_thresholds_are_those_of_training_clips():
    values = np.ones((16, 4))
    values[2], values[8:] = 2, 50
    write_logits(values)
    assert labels_of(opened(*ENHANCED))[2] == ["Animal", "Dog"]


def test_a_run_with_the_labels_of_the_teacher_of_another():
    train_teachers(settings("first", *TAGS))
    assert main(["runs/first/teacher", "logits"]) == 0
    added = ("data.enhance_labels=logits", ENHANCED[1], "data.enhance_threshold=p5")
    config = settings("second", *TAGS, *added, "student.epochs=1")
    train_teachers(config)
    train_students(config)
    before, after = (opened(*more).table.targets[:8].sum() for more in ((), added))
    assert after > before
    first, second = (
        Path(f"runs/{name}/teacher/seed_0/fold_0/weights.safetensors").read_bytes()
        for name in ("first", "second")
    )
    assert first != second, "trained on other labels"
    train_teachers(config)  # finished
    file = Path("logits/seed_0/fold_0/logits.safetensors")
    same = Logits.read(file)
    same.values[0] += 1
    same.write(file)
    with pytest.raises(UserError, match=r"other settings \(enhance labels: \w+… -> \w+…\)"):
        train_students(config)


def test_a_changed_ontology_is_another_training():
    write_logits()
    config = settings("any", *TAGS, *ENHANCED)
    train_teachers(config)
    write_ontology(("Siren",))
    with pytest.raises(UserError, match=r"other settings \(ontology: \w+… -> \w+…\)"):
        train_teachers(config)


# Errors -------------------------------------------------------------------------------------------


def test_a_data_set_with_one_label_per_clip_is_refused():
    write_logits()
    config = settings("any", *ENHANCED)
    message = (
        r"\[data\] enhance_labels: found 'logits.safetensors', but the data set is single-label: "
        "a clip has one class"
    )
    with pytest.raises(ConfigError, match=message):
        Experiment.open(config, "teacher")


def test_an_ontology_is_required():
    with pytest.raises(ConfigError, match=r"\[data\] ontology: is empty, but ENHANCE_LABELS requ"):
        settings("any", *TAGS, ENHANCED[0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ids": IDS[1:], "trained": ()}, "logits.safetensors: lacks the clip '00.wav'"),
        ({"classes": ("Animal", "Dog", "Engine", "Car")}, "without 'Other', with 'Car'"),
        (
            {"trained": range(13)},
            r"\[data\] enhance_labels: logits.safetensors was trained on 1 of the test clips "
            r"\(test\), the first is '12.wav'",
        ),
        (
            {"trained": None, "values": np.tile([0, 0, 0, 1], (16, 1))},
            r"\[data\] enhance_labels: logits.safetensors is correct on 0 of 8 training clips",
        ),
    ],
)
def test_logits_of_other_clips_or_classes_are_refused(given, message):
    write_logits(**({"values": np.zeros((len(given.get("ids", IDS)), 4))} | given))
    with pytest.raises(UserError, match=message):
        opened(*ENHANCED)


def test_logits_of_training_clips_alone_are_enough():
    write_logits(np.zeros((8, 4)), IDS[:8])
    assert labels_of(opened(*ENHANCED)) == LABELS


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (ENHANCED, "logits.safetensors: no such file of logits"),
        (("data.enhance_labels=logits", ENHANCED[1]), "logits: 0 trainings, none of seed 0 and"),
        ((ENHANCED[0], "data.ontology=none.json"), "none.json: no such file; expected AudioSet's"),
    ],
)
def test_missing_files_are_named(overrides, message):
    with pytest.raises(UserError, match=message):
        opened(*overrides)
