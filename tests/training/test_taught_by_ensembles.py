"""Students of ensembles, from runs to weights."""

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
TAUGHT = ("distillation.variants=ce+kd@both", LOGITS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Teachers a and b of both folds, with their caches; `c` has a student that both teach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("runs"))
        write_caches()
        train_teachers(settings("a", FOLDS))
        train_teachers(settings("b", FOLDS, "teacher.width_mult=0.5"))
        train_students(settings("c", FOLDS, BOTH, *TAUGHT))
        yield


def weights(run, variant="ce+kd@both", fold=1):
    path = Path("runs", run, "student", variant, "seed_0", f"fold_{fold}", "weights.safetensors")
    return path.read_bytes()


def at_fold(fold, *overrides):
    return open_fold(Experiment.open(settings("any", *overrides), "teacher", "student"), fold)


@torch.no_grad()
def said_by(path, experiment, role):
    """What the model itself says of the training clips."""
    heard = experiment.features[role][torch.as_tensor(experiment.split.train)]
    return read_model(path)[0](heard).logits


def teacher_logits(run, experiment):
    path = Path("runs", run, "teacher/seed_0", f"fold_{experiment.number}", "weights.safetensors")
    return said_by(path, experiment, "teacher")


def lesson(experiment, name="both"):
    rows = torch.as_tensor(experiment.split.train)
    batch = next(build_batches(experiment, STUDENT, 0, ("student",)).epoch(0))
    batch.rows = rows
    return ensemble_teacher(experiment, name, 0).outputs(batch)["logits"]


def test_both_teachers_say_their_weighted_mean(runs):
    experiment = at_fold(2, BOTH, LOGITS)
    first, second = (teacher_logits(run, experiment) for run in "ab")
    torch.testing.assert_close(lesson(experiment), (first + 2 * second) / 3)
    for kind in ("probabilities", "standardised", "gated"):
        said = [first.numpy(), second.numpy()]
        found = lesson(at_fold(2, BOTH, f"ensembles.mean_of={kind}"))
        assert found.numpy() == pytest.approx(
            fused(said, [1, 2], kind, "single_label"), rel=1e-5, abs=1e-6
        )


def test_the_ensemble_is_a_row_of_the_table(runs):
    folder = Path("runs/c/both/seed_0/fold_2")
    record = json.loads((folder / "metrics.json").read_text())
    assert record["members"] == {"runs/a/teacher": 1.0, "runs/b/teacher": 2.0}
    predictions = pd.read_csv(folder / "predictions.csv", index_col="audio_filename")
    assert list(predictions.index) == IDS[4:]


def test_a_student_of_the_ensemble_is_not_that_of_one_teacher(runs):
    one = "ensembles.both=runs/a/teacher"
    train_students(settings("one", "data.folds=1", one, *TAUGHT))
    assert weights("one") != weights("c")


def test_files_of_the_same_logits_teach_the_same_bits(runs):
    for run in "ab":
        assert main([f"runs/{run}/teacher", f"exported/{run}"]) == 0
    files = "ensembles.both=exported/a, 2 * exported/b"
    train_students(settings("files", FOLDS, files, *TAUGHT))
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

    config = settings("stopped", "data.folds=1", BOTH, *TAUGHT)
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
    torch.testing.assert_close(lesson(found, "assistant"), said_by(path, found, "student"))
    assert weights("small", "ce+kd@assistant")


def test_all_seeds_of_another_run_may_teach(runs):
    train_teachers(settings("seeds", "data.folds=1", "run.seeds=3, 5"))
    experiment = at_fold(1, "ensembles.both=runs/seeds/teacher@seeds", LOGITS)
    paths = [Path(f"runs/seeds/teacher/seed_{s}/fold_1/weights.safetensors") for s in (3, 5)]
    said = [said_by(path, experiment, "teacher") for path in paths]
    torch.testing.assert_close(lesson(experiment), sum(said) / 2)


def test_a_changed_member_is_another_training(runs):
    found = settings("c", FOLDS, BOTH.replace("2 *", "3 *"), *TAUGHT)
    with pytest.raises(UserError, match=r"both runs/b/teacher/seed_0/fold_1: 2 \* .* -> 3 \* "):
        train_students(found)
    with pytest.raises(UserError, match="both mean of: logits -> gated"):
        train_students(settings("c", FOLDS, BOTH, TAUGHT[0], "ensembles.mean_of=gated"))


# What cannot teach --------------------------------------------------------------------------------


def test_a_member_of_another_fold_is_refused_with_a_clip_that_it_knows(runs):
    train_teachers(settings("half", "data.folds=1"))
    experiment = at_fold(2, "ensembles.both=runs/half/teacher")
    with pytest.raises(UserError) as caught:
        lesson(experiment)
    assert str(caught.value) == (
        "[ensembles] both: runs/half/teacher/seed_0/fold_1 was trained on 4 of the test clips "
        "(fold 2), the first is '4.wav'; use a training of the same fold"
    )
    assert main(["runs/half/teacher", "half.safetensors"]) == 0
    with pytest.raises(UserError, match=r"half.safetensors was trained on 4 of the test clips"):
        lesson(at_fold(2, "ensembles.both=half.safetensors"))
    with pytest.raises(UserError, match=r"half.safetensors was trained on 4 of the test clips"):
        combine(at_fold(2, "ensembles.both=half.safetensors"), 0)


def published(rows, ids=IDS, classes="a\nb"):
    """Of these rows, that both clips and labels agree with, as they are listed."""
    np.save("array.npy", np.array(rows, np.float32))
    Path("clips.txt").write_text("\n".join(ids))
    Path("classes.txt").write_text(classes)
    lists = ["--clips", "clips.txt", "--classes", "classes.txt"]
    assert main(["array.npy", "published.safetensors", *lists]) == 0
    return "ensembles.both=published.safetensors"


RIGHT = [[4.0, 0.0] if label == "a" else [0.0, 4.0] for label in LABELS]


def test_a_published_file_teaches_by_the_names_of_clips_and_classes(runs, capsys):
    turned = [[b, a] for a, b in RIGHT[::-1]]
    experiment = at_fold(1, published(turned, IDS[::-1], "b\na"), LOGITS)
    assert lesson(experiment).tolist() == RIGHT[4:]
    said = capsys.readouterr().out
    assert (
        "published.safetensors is correct on 100.0% of the training clips; whether it was" in said
    )
    combine(experiment, 0)
    found = pd.read_csv("runs/any/both/seed_0/fold_1/predictions.csv", index_col=0)
    assert (found.idxmax(axis=1) == LABELS[:4]).all()


def test_a_published_file_whose_list_is_in_another_order_is_refused(runs):
    moved = at_fold(1, published(RIGHT, IDS[1:] + IDS[:1]))
    with pytest.raises(UserError, match="on 0 of 4 training clips, no more than chance.*'4.wav'"):
        lesson(moved)


def test_a_file_of_other_clips_is_refused_with_the_first_that_it_lacks(runs, capsys):
    experiment = at_fold(1, published(RIGHT[:6], IDS[:6]))
    with pytest.raises(
        UserError, match=r"published.safetensors: lacks the clip '6.wav' and 1 more"
    ):
        lesson(experiment)
    experiment = at_fold(1, published(RIGHT[1:], IDS[1:]))
    assert lesson(experiment).shape == (4, 2), "what it lacks is not trained on"
    combine(experiment, 0)
    said = capsys.readouterr().out
    assert (
        "[ensembles] both: no row of the table, published.safetensors lacks the clip '0.wav'"
        in said
    )


def test_a_file_of_other_classes_is_refused(runs):
    with pytest.raises(UserError, match="has other classes: it lacks b and adds c"):
        lesson(at_fold(1, published(RIGHT, classes="a\nc")))


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("distillation.variants=kd@bth",), r"variants: found 'bth'; nearest: both"),
        (
            ("distillation.variants=kd+sp@both",),
            "an ensemble has only logits as its output, not map",
        ),
        (
            (*TAUGHT, "distillation.teacher=online"),
            "teacher: found 'online', but the outputs of the ensemble of ce",
        ),
        (
            (*TAUGHT, "augment.roll_seconds=1"),
            "teacher_input: found 'augmented', .* set it to 'clean'",
        ),
        (
            (*TAUGHT, "distillation.teacher_input=concatenated"),
            "teacher_input: found 'concatenated', but the",
        ),
        (("ensembles.all=teacher",), r"\[ensembles\] all: is the name of a role"),
    ],
)
def test_what_an_ensemble_cannot_teach_is_named(runs, overrides, said):
    with pytest.raises(ConfigError, match=said):
        at_fold(1, BOTH, *overrides)


def test_disturbed_students_may_have_teachers_of_whole_clips(runs):
    overrides = "augment.roll_seconds=1", "distillation.teacher_input=clean"
    experiment = at_fold(1, BOTH, *TAUGHT, *overrides)
    torch.testing.assert_close(lesson(experiment), lesson(at_fold(1, BOTH, LOGITS)))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ("runs/none/teacher", "runs/none/teacher: 0 trainings, none of seed 0 and fold 1"),
        ("teacher", "runs/any/teacher/seed_0/fold_1: no metrics.json in it"),
        ("none.safetensors", "none.safetensors: no such file of logits"),
        ("runs/none/teacher@seeds", "runs/none/teacher: no training of fold 1"),
        ("runs/c/both", "runs/c/both/seed_0/fold_1: no weights.safetensors in it"),
    ],
)
def test_a_member_that_is_not_there_is_named(runs, members, said):
    with pytest.raises(UserError, match=said):
        lesson(at_fold(1, f"ensembles.both={members}"))


def test_a_run_says_what_it_was_trained_on(runs):
    assert main(["runs/a/teacher/seed_0/fold_2", "a2.safetensors"]) == 0
    logits = Logits.read(Path("a2.safetensors"))
    assert logits.ids[logits.trained].tolist() == IDS[:4]
    assert logits.record["model"] == "dcase_small"
    assert logits.made_from.keys() == {"weights", "front end", "clips.csv", "shards"}
