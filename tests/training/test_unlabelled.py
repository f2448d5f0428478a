"""Training with clips that have no labels, and on these alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from config import Augment, ConfigError, Student, UserError
from data.augment import Augmentation
from data.loading.batches import Batch, Batches
from losses import LOSSES
from models.output import Output
from report.page import page
from report.run import Run
from report.table import render
from tests.training.tiny_runs import settings, write_caches
from training.checks import check_labels
from training.experiment import Experiment
from training.fold import open_fold
from training.inputs import build_batches, positive_weight
from training.role import STUDENT, TEACHER
from training.run_folder import write_results
from training.stages import train_students, train_teachers
from training.steps import Step

ALONE = ("teacher.epochs=0", "distillation.variants=kd, kd+sp", "data.hold_out=0.3")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def opened(*overrides, fold=1):
    return open_fold(Experiment.open(settings("any", *overrides), "teacher", "student"), fold)


# Batches ------------------------------------------------------------------------------------------


def test_distillation_uses_every_clip_and_labels_only_theirs(place):
    write_caches(labelled=[0, 1, 4, 6])
    found = opened()
    assert found.split.train.tolist() == [4, 5, 6, 7]
    assert found.split.test.tolist() == [0, 1]
    rows, known = [], []
    for batch in build_batches(found, STUDENT, 0, ("student",)).epoch(0):
        rows += batch.rows.tolist()
        known += batch.rows[batch.labelled].tolist()
    assert sorted(rows) == [4, 5, 6, 7]
    assert sorted(known) == [4, 6]
    only = list(build_batches(found, TEACHER, 0, ("teacher",), labelled_only=True).epoch(0))
    assert sorted(row for batch in only for row in batch.rows.tolist()) == [4, 6]
    assert {batch.labelled for batch in only} == {None}


def test_a_share_of_the_labels_is_used_and_students_have_as_many_clips_per_epoch(place):
    write_caches()
    found = opened("data.label_share=0.25")
    train = found.split.train
    kept = found.labelled(train)
    assert 0 < len(kept) < len(train)
    assert len(found.labelled(found.split.test)) == len(found.split.test)
    batches = list(build_batches(found, STUDENT, 0, ("student",)).epoch(0))
    known = [row for batch in batches for row in batch.rows[batch.labelled].tolist()]
    assert sorted(known) == kept.tolist()
    only = list(build_batches(found, STUDENT, 0, ("student",), labelled_only=True).epoch(0))
    rows = [row for batch in only for row in batch.rows.tolist()]
    assert len(rows) == len(train)
    assert set(rows) == set(kept.tolist())


@pytest.mark.parametrize("sampling", ["shuffled", "balanced"])
@pytest.mark.parametrize("role", [TEACHER, STUDENT], ids=str)
def test_epochs_of_labels_alone_are_as_long_as_those_of_distillation(place, role, sampling):
    """A model of a matrix is trained as a teacher, and compared with itself as a student."""
    write_caches()
    settings = "data.label_share=0.25", f"{role}.sampling={sampling}", f"{role}.batch_size=2"
    found = opened(*settings, "matrix.cnn=MODEL=dcase_small")
    train, kept = found.split.train, found.labelled(found.split.train)
    batches = list(build_batches(found, role, 0, (str(role),), labelled_only=True).epoch(0))
    rows = [row for batch in batches for row in batch.rows.tolist()]
    assert len(batches) == len(build_batches(found, STUDENT, 0, ("student",)))
    assert len(rows) == len(train)
    assert set(rows) == set(kept.tolist())


def test_the_epochs_of_a_teacher_become_longer_as_a_model_of_a_matrix(place):
    write_caches(labelled=[0, 1, 4, 6])
    train_teachers(settings("any", "data.folds=1"))
    with pytest.raises(UserError, match="labelled clips: unset -> repeated"):
        train_teachers(settings("any", "data.folds=1", "matrix.cnn=MODEL=dcase_small"))


def test_fully_labelled_clips_have_batches_as_before(place):
    write_caches()
    assert next(build_batches(opened(), STUDENT, 0, ("student",)).epoch(0)).labelled is None


def test_a_training_fold_without_labels_is_named(place):
    write_caches(labelled=[0, 1])
    with pytest.raises(UserError, match=r"teacher: no training clip has a label \(fold 1\)"):
        build_batches(opened(), TEACHER, 0, ("teacher",), labelled_only=True)


def test_a_clip_that_is_mixed_with_one_without_a_label_has_none(views, targets):
    augmentation = Augmentation(Augment(mixup_alpha=1.0, mixup_prob=0.5), 1.0, 8000.0)
    labelled = torch.arange(24) % 3 > 0
    batches = Batches(views, targets, np.arange(24), 24, 0, augmentation, labelled=labelled)
    (batch,) = batches.epoch(0)
    (plan,) = batches.plans(0)
    rows, partner, weight = plan.rows, plan.rows[plan.params.partner], plan.params.weight
    for n in range(24):
        mixed = weight[n] < 1
        expected = labelled[rows[n]] and (not mixed or labelled[partner[n]])
        assert batch.labelled[n] == expected
    assert (weight < 1).any()
    assert (weight == 1).any()
    assert (batch.labelled != labelled[rows]).any()


# Losses -------------------------------------------------------------------------------------------


class Constant(torch.nn.Module):
    """A model whose logits are its parameters."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.nn.Parameter(logits)

    def forward(self, inputs):
        return Output(self.logits, self.logits, (self.logits[:, None],))


def built(name):
    loss = LOSSES[name]()
    loss.build({"labels": (3,), "student_embedding": (3,)})
    return loss


@pytest.mark.parametrize("name", ["bce", "ce", "centre"])
@pytest.mark.parametrize("known", [[0, 2], [1], [], [0, 1, 2, 3]])
def test_a_loss_from_labels_is_the_mean_over_labelled_clips(name, known):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.eye(3)[[0, 1, 2, 0]]
    labelled = torch.isin(torch.arange(4), torch.tensor(known, dtype=torch.long))
    model, loss = Constant(logits.clone()), built(name)
    step = Step(model, "student", {name: loss}, {})
    batch = Batch(torch.arange(4), {"student": logits}, labels * labelled[:, None], 0, labelled)
    found = step(batch)["loss"]
    found.backward()
    expected = built(name)(logits[labelled], labels[labelled]).item() if known else 0.0
    assert found.item() == pytest.approx(expected, rel=1e-6)
    assert torch.isfinite(model.logits.grad).all()
    assert not model.logits.grad[~labelled].any()
    assert model.logits.grad[labelled].any() == bool(known)
    if name == "centre" and not known:
        assert not loss.centres.any(), "no clip, no update"


@pytest.mark.parametrize(
    ("text", "expected"), [("", None), ("2.5", [2.5, 2.5]), ("balanced", [1.0, 3.0])]
)
def test_positive_weights_are_of_the_labelled_training_clips(place, text, expected):
    write_caches(labelled=[0, 4, 5, 6] if text != "balanced" else [0, 1, 4, 6, 5])
    found = positive_weight(opened(), Student(pos_weight=text))
    if expected is None:
        assert found is None
    elif text == "balanced":  # of clips 4, 5 and 6: two low and one high
        assert found.tolist() == [0.5, 2.0]
    else:
        assert found.tolist() == expected


def test_a_class_without_positives_has_the_largest_weight(place):
    write_caches(labelled=[0, 4, 6])
    assert positive_weight(opened(), Student(pos_weight="balanced")).tolist() == [0.0, 100.0]


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan", "inf"])
def test_a_wrong_positive_weight_is_refused(text):
    with pytest.raises(ConfigError, match="pos_weight: found .*, expected balanced or a number"):
        Student(pos_weight=text)


# Runs ---------------------------------------------------------------------------------------------


def test_a_mixed_set_is_trained_and_evaluated_on_its_labels(place):
    write_caches(labelled=[0, 1, 4, 5, 6])
    config = settings("mixed", "distillation.variants=ce, kd, ce+kd", "data.folds=1")
    train_teachers(config)
    train_students(config)
    results = write_results("mixed")
    scores = results[results["metric"] == "accuracy"]
    assert sorted(scores["variant"]) == ["ce", "ce", "ce+kd", "kd"]
    assert set(scores["split"]) == {"fold 1"}
    found = pd.read_csv("runs/mixed/student/kd/seed_0/fold_1/predictions.csv")
    assert found["audio_filename"].tolist() == ["0.wav", "1.wav"]


@pytest.fixture
def alone(place):
    """A run without labels, whose teacher was trained in another run with labels."""
    write_caches()
    train_teachers(settings("other", "teacher.epochs=6"))
    shutil.rmtree("features")
    shutil.rmtree("audio")
    write_caches(labelled=[])
    config = settings("alone", "teacher.init=runs/other/teacher", *ALONE)
    train_teachers(config)
    train_students(config)
    write_results("alone")
    return Path("runs/alone")


def test_without_labels_the_score_is_the_agreement_with_the_teacher(alone):
    run = Run(alone)
    for fold in (1, 2):
        predicted = {
            role: pd.read_csv(alone / role / f"seed_0/fold_{fold}/predictions.csv")[["a", "b"]]
            for role in ("teacher", "student/kd")
        }
        top = {role: table.to_numpy().argmax(axis=1) for role, table in predicted.items()}
        record = json.loads((alone / f"student/kd/seed_0/fold_{fold}/metrics.json").read_text())
        assert record["figures"]["accuracy"] == np.mean(top["teacher"] == top["student/kd"])
        assert record["split"] == f"fold {fold}, agreement with the teacher"
        assert record["epoch_chosen_on"] == "held-out training clips"
        history = pd.read_csv(alone / f"student/kd/seed_0/fold_{fold}/history.csv")
        assert history["score"].notna().all(), "the epoch is chosen by the agreement, too"
        found = run.predictions(run.teacher, 0, [fold])
        assert found.targets.argmax(axis=1).tolist() == top["teacher"].tolist()
    teacher = run.scores(run.teacher)["value"]
    assert teacher.tolist() == [1.0, 1.0]


def test_the_table_and_the_page_say_that_it_is_an_agreement(alone):
    run = Run(alone)
    head = "agreement with the teacher (accuracy) on csv_folder, fold 1 to fold 2; "
    assert head in " ".join(render(run.results, "accuracy").split())
    text = page([run])
    assert "has agreement with the teacher (accuracy) 0." in text or "(accuracy) 1." in text
    assert "agreement with the teacher (accuracy), mean" in text


def test_the_agreement_requires_the_teacher_of_the_run(alone):
    shutil.rmtree(alone / "student")
    (alone / "teacher/seed_0/fold_1/predictions.csv").unlink()
    config = settings("alone", "teacher.init=runs/other/teacher", *ALONE)
    with pytest.raises(UserError, match="predictions.csv: missing; remove .* run train_teacher.py"):
        train_students(config)


RATE = "specialists.learning_rate=0.001"


@pytest.mark.parametrize(
    ("role", "labelled", "overrides", "message"),
    [
        ("teacher", [], (), r"\[teacher\] epochs: found 1, but no training clip has a label"),
        ("teacher", [], ("teacher.epochs=0",), r"\[teacher\] epochs: found 0, but no training"),
        (
            *("teacher", []),
            ("teacher.epochs=0", "teacher.init=x", "specialists.pairs=1", RATE),
            r"\[specialists\] pairs: found 1, but no",
        ),
        ("student", [], (), "variants: found 'ce.kd', but no training clip has a label for ce; "),
        ("student", [], ("distillation.variants=kd", "student.align_epochs=1"), "align_epochs"),
        ("student", [0, 1], ("student.sampling=balanced",), "found 'balanced', but ce.kd also"),
        (
            *("student", [0, 1]),
            ("distillation.teacher_input=concatenated",),
            "found 'concatenated', but ce.kd also",
        ),
    ],
)
def test_settings_that_require_labels_are_refused(place, role, labelled, overrides, message):
    write_caches(labelled=labelled)
    config = settings("any", *overrides)
    table = Experiment.open(config, "teacher").table
    with pytest.raises(ConfigError, match=message):
        check_labels(config, table, role)


def test_labels_only_or_distillation_only_fit_a_mixed_set(place):
    write_caches(labelled=[0, 1])
    config = settings("any", "distillation.variants=ce", "student.sampling=balanced")
    table = Experiment.open(config, "teacher").table
    for role in ("teacher", "student"):
        check_labels(config, table, role)
