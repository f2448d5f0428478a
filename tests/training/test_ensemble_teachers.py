"""Ensembles as teachers, and students that are distilled from them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from config import ConfigError, UserError
from models.stored import read_model
from tests.training.tiny_runs import IDS, LABELS, settings, write_caches
from training.ensembles import combine, ensemble_teacher
from training.experiment import Experiment
from training.fold import open_fold
from training.fusion import fused
from training.inputs import build_batches
from training.logits.__main__ import main
from training.logits.table import Logits
from training.role import STUDENT
from training.run_folder import TrainingFolder
from training.stages import train_students, train_teachers

FOLDS = "data.folds=1, 2"
BOTH = "ensembles.both=runs/a/teacher, 2 * runs/b/teacher"
LOGITS = "ensembles.mean_of=logits"
DISTILLED = ("distillation.variants=ce+kd@both", LOGITS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Teachers a and b of both folds, with their caches; `c` has a student of both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("runs"))
        write_caches()
        train_teachers(settings("a", FOLDS))
        train_teachers(settings("b", FOLDS, "teacher.width_mult=0.5"))
        train_students(settings("c", FOLDS, BOTH, *DISTILLED))
        yield


def weights(run, variant="ce+kd@both", fold=1):
    path = Path("runs", run, "student", variant, "seed_0", f"fold_{fold}", "weights.safetensors")
    return path.read_bytes()


def at_fold(fold, *overrides):
    return open_fold(Experiment.open(settings("any", *overrides), "teacher", "student"), fold)


@torch.no_grad()
def model_logits(path, experiment, role):
    """The logits of the model itself for the training clips."""
    inputs = experiment.features[role][torch.as_tensor(experiment.split.train)]
    return read_model(path)[0](inputs).logits


def teacher_logits(run, experiment):
    path = Path("runs", run, "teacher/seed_0", f"fold_{experiment.number}", "weights.safetensors")
    return model_logits(path, experiment, "teacher")


def logits_of(experiment, name="both"):
    rows = torch.as_tensor(experiment.split.train)
    batch = next(build_batches(experiment, STUDENT, 0, ("student",)).epoch(0))
    batch.rows = rows
    return ensemble_teacher(experiment, name, 0).outputs(batch)["logits"]


def test_an_ensemble_gives_the_weighted_mean_of_its_members(runs):
    experiment = at_fold(2, BOTH, LOGITS)
    first, second = (teacher_logits(run, experiment) for run in "ab")
    torch.testing.assert_close(logits_of(experiment), (first + 2 * second) / 3)
    for kind in ("probabilities", "standardised", "gated"):
        logits = [first.numpy(), second.numpy()]
        found = logits_of(at_fold(2, BOTH, f"ensembles.mean_of={kind}"))
        assert found.numpy() == pytest.approx(
            fused(logits, [1, 2], kind, "single_label"), rel=1e-5, abs=1e-6
        )


def test_the_ensemble_is_a_row_of_the_table(runs):
    folder = Path("runs/c/both/seed_0/fold_2")
    record = json.loads((folder / "metrics.json").read_text())
    assert record["members"] == {"runs/a/teacher": 1.0, "runs/b/teacher": 2.0}
    predictions = pd.read_csv(folder / "predictions.csv", index_col="audio_filename")
    assert list(predictions.index) == IDS[4:]


def test_the_epoch_of_an_ensemble_is_chosen_on_the_clips_of_its_members(runs):
    train_teachers(settings("validated", "data.folds=1", "data.hold_out=0.5"))
    for other, chosen_on in (("validated", "held-out training clips"), ("b", "none")):
        members = f"ensembles.both=runs/a/teacher, runs/{other}/teacher"
        combine(at_fold(1, members, "data.hold_out=0.5"), 0)
        record = json.loads(Path("runs/any/both/seed_0/fold_1/metrics.json").read_text())
        assert record["epoch_chosen_on"] == chosen_on


def test_a_student_of_an_ensemble_differs_from_that_of_one_teacher(runs):
    one = "ensembles.both=runs/a/teacher"
    train_students(settings("one", "data.folds=1", one, *DISTILLED))
    assert weights("one") != weights("c")


def test_files_of_the_same_logits_give_the_same_student(runs):
    for run in "ab":
        assert main([f"runs/{run}/teacher", f"exported/{run}"]) == 0
    files = "ensembles.both=exported/a, 2 * exported/b"
    train_students(settings("files", FOLDS, files, *DISTILLED))
    for fold in (1, 2):
        assert weights("files", fold=fold) == weights("c", fold=fold)
    rows = [
        pd.read_csv(f"runs/{run}/both/seed_0/fold_1/predictions.csv", index_col=0)
        for run in ("files", "c")
    ]
    pd.testing.assert_frame_equal(*rows, rtol=1e-5)


def test_a_student_that_was_stopped_ends_with_the_same_bits(runs, monkeypatch):
    write = TrainingFolder.write_checkpoint

    def write_and_stop(self, state):
        write(self, state)
        raise KeyboardInterrupt

    config = settings("stopped", "data.folds=1", BOTH, *DISTILLED)
    monkeypatch.setattr(TrainingFolder, "write_checkpoint", write_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train_students(config)
    monkeypatch.setattr(TrainingFolder, "write_checkpoint", write)
    train_students(config)
    assert weights("stopped") == weights("c")


def test_a_student_of_another_run_is_a_teacher_assistant(runs):
    assistant = ("ensembles.assistant=runs/c/student/ce+kd@both", LOGITS)
    variant = "distillation.variants=ce+kd@assistant"
    smaller = "student.width_mult=0.125"
    train_students(settings("small", "data.folds=1", *assistant, variant, smaller))
    found = at_fold(1, *assistant)
    path = Path("runs/c/student/ce+kd@both/seed_0/fold_1/weights.safetensors")
    torch.testing.assert_close(logits_of(found, "assistant"), model_logits(path, found, "student"))
    assert weights("small", "ce+kd@assistant")


def test_all_seeds_of_another_run_can_be_an_ensemble(runs):
    train_teachers(settings("seeds", "data.folds=1", "run.seeds=3, 5"))
    experiment = at_fold(1, "ensembles.both=runs/seeds/teacher@seeds", LOGITS)
    paths = [Path(f"runs/seeds/teacher/seed_{s}/fold_1/weights.safetensors") for s in (3, 5)]
    logits = [model_logits(path, experiment, "teacher") for path in paths]
    torch.testing.assert_close(logits_of(experiment), sum(logits) / 2)


def test_a_changed_member_is_another_training(runs):
    found = settings("c", FOLDS, BOTH.replace("2 *", "3 *"), *DISTILLED)
    with pytest.raises(UserError, match=r"both runs/b/teacher/seed_0/fold_1: 2 \* .* -> 3 \* "):
        train_students(found)
    with pytest.raises(UserError, match="both mean of: logits -> gated"):
        train_students(settings("c", FOLDS, BOTH, DISTILLED[0], "ensembles.mean_of=gated"))


# Errors -------------------------------------------------------------------------------------------


def test_a_member_of_another_fold_is_rejected_with_a_clip_it_was_trained_on(runs):
    train_teachers(settings("half", "data.folds=1"))
    experiment = at_fold(2, "ensembles.both=runs/half/teacher")
    with pytest.raises(UserError) as caught:
        logits_of(experiment)
    assert str(caught.value) == (
        "[ensembles] both: runs/half/teacher/seed_0/fold_1 was trained on 4 of the test clips "
        "(fold 2), the first is '4.wav'; use a training of the same fold"
    )
    assert main(["runs/half/teacher", "half.safetensors"]) == 0
    with pytest.raises(UserError, match=r"half.safetensors was trained on 4 of the test clips"):
        logits_of(at_fold(2, "ensembles.both=half.safetensors"))
    with pytest.raises(UserError, match=r"half.safetensors was trained on 4 of the test clips"):
        combine(at_fold(2, "ensembles.both=half.safetensors"), 0)


def published(rows, ids=IDS, classes="a\nb"):
    """A published file of these rows, in the order of the lists."""
    np.save("array.npy", np.array(rows, np.float32))
    Path("clips.txt").write_text("\n".join(ids))
    Path("classes.txt").write_text(classes)
    lists = ["--clips", "clips.txt", "--classes", "classes.txt"]
    assert main(["array.npy", "published.safetensors", *lists]) == 0
    return "ensembles.both=published.safetensors"


RIGHT = [[4.0, 0.0] if label == "a" else [0.0, 4.0] for label in LABELS]


def test_a_published_file_is_read_by_the_names_of_clips_and_classes(runs, capsys):
    reversed_ = [[b, a] for a, b in RIGHT[::-1]]
    experiment = at_fold(1, published(reversed_, IDS[::-1], "b\na"), LOGITS)
    assert logits_of(experiment).tolist() == RIGHT[4:]
    printed = capsys.readouterr().out
    assert (
        "published.safetensors is correct on 100.0% of the training clips; whether it was"
        in printed
    )
    combine(experiment, 0)
    found = pd.read_csv("runs/any/both/seed_0/fold_1/predictions.csv", index_col=0)
    assert (found.idxmax(axis=1) == LABELS[:4]).all()


def test_a_published_file_whose_list_is_in_another_order_is_rejected(runs):
    moved = at_fold(1, published(RIGHT, IDS[1:] + IDS[:1]))
    with pytest.raises(UserError, match="on 0 of 4 training clips, no more than chance.*'4.wav'"):
        logits_of(moved)


def test_a_file_of_other_clips_is_rejected_with_the_first_that_it_lacks(runs, capsys):
    experiment = at_fold(1, published(RIGHT[:6], IDS[:6]))
    with pytest.raises(
        UserError, match=r"published.safetensors: lacks the clip '6.wav' and 1 more"
    ):
        logits_of(experiment)
    experiment = at_fold(1, published(RIGHT[1:], IDS[1:]))
    assert logits_of(experiment).shape == (4, 2), "the missing clips are test clips"
    combine(experiment, 0)
    printed = capsys.readouterr().out
    assert (
        "[ensembles] both: no row of the table, published.safetensors lacks the clip '0.wav'"
        in printed
    )


def test_a_file_of_other_classes_is_rejected(runs):
    with pytest.raises(UserError, match="is of other classes: without 'b', with 'c'"):
        logits_of(at_fold(1, published(RIGHT, classes="a\nc")))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("distillation.variants=kd@bth",), r"variants: found 'bth'; nearest: both"),
        (
            ("distillation.variants=kd+sp@both",),
            "an ensemble has only logits as its output, not map",
        ),
        (
            (*DISTILLED, "distillation.teacher=online"),
            "teacher: found 'online', but the outputs of the ensemble of ce",
        ),
        (
            (*DISTILLED, "augment.roll_seconds=1"),
            "teacher_input: found 'augmented', .* set it to 'clean'",
        ),
        (
            (*DISTILLED, "distillation.teacher_input=concatenated"),
            "teacher_input: found 'concatenated', but the",
        ),
        (("ensembles.all=teacher",), r"\[ensembles\] all: is the name of a role"),
    ],
)
def test_settings_that_no_ensemble_supports_are_named(runs, overrides, message):
    with pytest.raises(ConfigError, match=message):
        at_fold(1, BOTH, *overrides)


def test_augmented_students_may_have_teachers_of_clean_clips(runs):
    overrides = "augment.roll_seconds=1", "distillation.teacher_input=clean"
    experiment = at_fold(1, BOTH, *DISTILLED, *overrides)
    torch.testing.assert_close(logits_of(experiment), logits_of(at_fold(1, BOTH, LOGITS)))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ("runs/none/teacher", "runs/none/teacher: 0 trainings, none of seed 0 and fold 1"),
        ("teacher", "runs/any/teacher/seed_0/fold_1: no metrics.json in it"),
        ("none.safetensors", "none.safetensors: no such file of logits"),
        ("runs/none/teacher@seeds", "runs/none/teacher: no training of fold 1"),
        ("runs/c/both", "runs/c/both/seed_0/fold_1: no weights.safetensors in it"),
    ],
)
def test_a_missing_member_is_named(runs, members, message):
    with pytest.raises(UserError, match=message):
        logits_of(at_fold(1, f"ensembles.both={members}"))


def test_exported_logits_list_the_training_clips(runs):
    assert main(["runs/a/teacher/seed_0/fold_2", "a2.safetensors"]) == 0
    logits = Logits.read(Path("a2.safetensors"))
    assert logits.ids[logits.trained].tolist() == IDS[:4]
    assert logits.record["model"] == "dcase_small"
    assert logits.made_from.keys() == {"weights", "front end", "clips.csv", "shards"}


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_students_in_fewer_bits_are_members(runs, precision):
    settled = "data.folds=1", f"quantisation.precisions={precision}", "distillation.variants=ce"
    train_students(settings(precision, *settled))
    found = logits_of(at_fold(1, f"ensembles.both=runs/{precision}/student@{precision}/ce"))
    whole = logits_of(at_fold(1, f"ensembles.both=runs/{precision}/student/ce"))
    torch.testing.assert_close(found.softmax(1), whole.softmax(1), rtol=0, atol=0.01)
