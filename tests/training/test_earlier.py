"""A training refuses the weights of an earlier one that do not fit its inputs or its test clips."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from config import UserError
from data.checksums import read_record, write_record
from data.tables.clips import Clip, ClipTable
from tests.training.tiny_runs import IDS, LABELS, settings, write_caches, write_features
from training.earlier import check_init, warn
from training.experiment import Experiment
from training.fold import open_fold
from training.stages import train_students, train_teachers

FOLD = "data.folds=1"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    warn.cache_clear()
    write_caches()


def write_moved(config, folder, num_bands=8):
    """The same clips, with the folds swapped, from recordings in `folder`."""
    Path(folder).mkdir(exist_ok=True)
    for name in IDS:
        Path(folder, name).write_bytes(b"sound")
    clips = [
        Clip(name, Path(folder, name), labels={label: 1.0}, fold=2 - n // 4, group=name)
        for n, (name, label) in enumerate(zip(IDS, LABELS, strict=True))
    ]
    features = np.random.default_rng(0).normal(size=(8, 1, 16, num_bands))
    write_features(config, ClipTable.of(clips, ("a", "b"), "single_label"), features)


def refused(config, message, overwrite=False):
    with pytest.raises(UserError, match=message):
        train_students(config, overwrite)


@pytest.mark.parametrize("overwrite", [False, True])
def test_another_setting_of_the_teacher_is_refused_before_anything_is_written(overwrite):
    train_teachers(settings("run", FOLD))
    before = Path("runs/run/config.ini").read_text()
    message = r"teacher/seed_0/fold_1 was trained with other settings \(teacher.epochs: 1 -> 2\)"
    refused(settings("run", FOLD, "teacher.epochs=2"), message, overwrite)
    assert Path("runs/run/config.ini").read_text() == before


@pytest.mark.parametrize(
    ("later", "changed"),
    [
        ("mel.normalise=none", r"mean of the features: \S+ -> 0;"),
        ("teacher.width_mult=0.5", r"option width_mult: 0.25 -> 0.5\)"),
        ("mel.log=log10", "mel.log: natural -> log10"),
    ],
)
def test_a_teacher_of_another_run_gets_the_inputs_of_its_training(later, changed):
    train_teachers(settings("first", FOLD, "mel.normalise=global"))
    config = settings("run", FOLD, "run.teacher_run=first", "mel.normalise=global", later)
    if "log10" in later:
        write_moved(config, "audio")
    refused(config, f"first/teacher/seed_0/fold_1 was trained with other settings .*{changed}")


def test_the_band_of_another_normalisation_is_named():
    config = settings("run", FOLD, "mel.normalise=bands")
    train_teachers(config)
    fold = open_fold(Experiment.open(config, "teacher"), 1)
    fold.features["teacher"].mean[3] = 7
    weights = Path("runs/run/teacher/seed_0/fold_1/weights.safetensors")
    with pytest.raises(UserError, match=r"\(mean of the features: \S+ -> 7\):"):
        check_init(fold, weights, "teacher", as_it_is=True)


def test_another_number_of_bands_is_named():
    bands = FOLD, "mel.normalise=bands"
    train_teachers(settings("first", *bands))
    config = settings("run", *bands, "run.teacher_run=first", "mel.num_bands=4")
    write_moved(config, "audio", num_bands=4)
    refused(config, "first/teacher/seed_0/fold_1 was trained with .*mel.num_bands: 8 -> 4")


def test_a_teacher_of_another_run_may_have_other_training_settings():
    train_teachers(settings("first", FOLD))
    train_students(settings("run", FOLD, "run.teacher_run=first", "teacher.epochs=2"))


def test_a_teacher_that_was_trained_on_the_test_clips_is_refused():
    train_teachers(settings("first", FOLD))
    config = settings("run", FOLD, "run.teacher_run=first", "data.root=other")
    write_moved(config, "audio")
    message = r"teacher/seed_0/fold_1 was trained on 4 of the 4 test clips \(fold 1\).*'4.wav'"
    refused(config, message)


@pytest.mark.parametrize("name", ["clips", "data.protocol", "data.hold_out"])
def test_a_record_of_another_version_is_named(name):
    train_teachers(settings("first", FOLD))
    path = Path("runs/first/teacher/seed_0/fold_1/metrics.json")
    record = read_record(path, "")
    del record["settings"][name]
    write_record(path, record, record["files"])
    config = settings("run", FOLD, "run.teacher_run=first", "data.root=other")
    write_moved(config, "other")
    refused(config, rf"metrics.json: without '{name}', so of another version; remove runs/first/")


def test_other_recordings_of_the_same_names_are_a_warning(capsys):
    train_teachers(settings("first", FOLD))
    config = settings("run", FOLD, "run.teacher_run=first", "data.root=other")
    write_moved(config, "other")
    train_students(config)
    named = "with the names of 4 of the 4 test clips (fold 1)"
    assert capsys.readouterr().err.count(named) == 1


def test_initial_weights_of_another_fold_are_refused():
    train_teachers(settings("first", FOLD))
    with pytest.raises(UserError, match=r"fold_1 was trained on 4 of the 4 test clips \(fold 2\)"):
        train_teachers(settings("second", "teacher.init=runs/first/teacher"))


def test_initial_weights_of_other_clips_are_used_in_every_fold(capsys):
    config = settings("first", FOLD, "data.root=other")
    write_moved(config, "other")
    for name in IDS:
        Path("other", name).unlink()
    train_teachers(config)
    train_teachers(settings("second", "teacher.init=runs/first/teacher"))
    assert "warning" in capsys.readouterr().err


def test_weights_of_others_may_be_beside_a_file_of_metrics():
    train_teachers(settings("first", FOLD))
    weights = load_file("runs/first/teacher/seed_0/fold_1/weights.safetensors")
    Path("published").mkdir()
    torch.save(weights, "published/model.pt")
    Path("published/metrics.json").write_text('{"accuracy": 0.9}')
    train_teachers(settings("second", FOLD, "teacher.init=published/model.pt"))


def test_initial_weights_are_not_required_once_the_teacher_is_trained():
    train_teachers(settings("first", FOLD))
    started = FOLD, "teacher.init=runs/first/teacher"
    train_teachers(settings("run", *started))
    shutil.rmtree("runs/first")
    train_students(settings("run", *started))


def test_initial_weights_that_are_not_trained_get_the_inputs_of_their_training():
    train_teachers(settings("first", FOLD))
    used = (FOLD, "teacher.init=runs/first/teacher", "teacher.epochs=0")
    config = settings("second", *used, "mel.mel_min_hz=200")
    write_moved(config, "other")
    with pytest.raises(UserError, match=r"other settings \(mel.mel_min_hz: 125.0 -> 200.0"):
        train_teachers(config)
    train_teachers(settings("third", *used))


def test_a_student_of_a_replaced_teacher_is_named_beside_the_table(capsys):
    train_teachers(settings("run", FOLD))
    train_students(settings("run", FOLD))
    assert "not comparable" not in capsys.readouterr().err
    labels_only = (FOLD, "teacher.epochs=2", "distillation.variants=ce")
    train_teachers(settings("run", *labels_only), overwrite=True)
    train_students(settings("run", *labels_only))
    printed = capsys.readouterr().err
    assert "runs/run/student/ce+kd of seed 0 is in the table, but not comparable (" in printed
    assert "teacher weights: " in printed


def test_students_of_other_seeds_and_settings_are_named_beside_the_table(capsys):
    labels_only = FOLD, "distillation.variants=ce"
    train_students(settings("run", *labels_only, "run.seeds=0,1"))
    train_students(settings("run", *labels_only, "run.seeds=2"))
    assert "not comparable" not in capsys.readouterr().err
    train_students(settings("run", *labels_only, "run.seeds=3", "student.epochs=1"))
    expected = (
        "warning: runs/run/student/ce of seed 0,1,2 is in the table, but not comparable "
        "(student.epochs: 2 -> 1): remove it, or train it again (--set distillation.variants=ce "
        "--set run.seeds=0,1,2 --overwrite)\n"
    )
    assert expected in capsys.readouterr().err
