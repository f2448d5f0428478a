"""What is recorded of a training."""

import pytest

from tests.training.tiny_runs import settings, write_caches
from training.experiment import Experiment
from training.fold import open_fold
from training.plan import Training
from training.record import recorded_settings
from training.role import STUDENT, TEACHER, Role


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_caches()


def recorded(role, *overrides):
    """Of a training on labels alone."""
    fold = open_fold(Experiment.open(settings("any", *overrides), "teacher", "student"), 1)
    return recorded_settings(fold, Training(role, "ce", 0, 1))


def test_the_views_of_a_student_of_labels_are_a_setting():
    augment, views = "augment.gain_db=6", "distillation.augmented_views"
    without, some = recorded(STUDENT, augment), recorded(STUDENT, augment, f"{views}=2")
    assert some == {**without, views: "2"}
    assert recorded(TEACHER, augment, f"{views}=2") == recorded(TEACHER, augment)


def test_the_frozen_epochs_of_int8_are_a_setting():
    int8, freeze = Role("student", "int8"), "quantisation.freeze_epochs"
    trained = "quantisation.precisions=int8", "quantisation.epochs=6"
    assert recorded(int8, *trained)[freeze] == "4"
    assert recorded(int8, *trained, f"{freeze}=0")[freeze] == "0"
    assert freeze not in recorded(int8, trained[0]), "without epochs"
    assert freeze not in recorded(STUDENT, *trained)
