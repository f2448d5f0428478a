"""What students are distilled from is looked for before the first of them is trained."""

from pathlib import Path

import pytest

from config import UserError
from tests.training.tiny_runs import settings
from training.stages import train_students, train_teachers

pytestmark = pytest.mark.usefixtures("place")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("distillation.variants=ce, ce+kd",),
            "runs/some/teacher/seed_0/fold_1/weights.safetensors is not there: run "
            "train_teacher.py first; and 1 more",
        ),
        (
            ("distillation.variants=ce", "student.init=nowhere.pt"),
            "INIT = nowhere.pt is neither a file, a run nor the name of published weights$",
        ),
        (
            ("distillation.variants=ce", "student.init=yamnet2"),
            "INIT = yamnet2 is neither .*; nearest: yamnet$",
        ),
        (
            ("distillation.variants=ce, ce+kd", "run.teacher_run=asx"),
            r"^\[run\] teacher_run: runs/asx does not exist$",
        ),
        (("distillation.variants=ce", "student.init=teacher"), "is not there: run train_teacher"),
        (
            ("distillation.variants=ce, kd@both", "ensembles.both=student/ce, runs/none/teacher"),
            "runs/none/teacher: 0 trainings",
        ),
    ],
)
def test_nothing_is_trained_without_its_teachers(overrides, message):
    with pytest.raises(UserError, match=message):
        train_students(settings("some", *overrides))
    assert not Path("runs/some").exists()


def test_a_student_of_the_same_command_can_be_a_teacher():
    overrides = "data.folds=1", "student.epochs=1", "ensembles.both=teacher, student/ce"
    config = settings("some", *overrides, "distillation.variants=ce, kd@both")
    train_teachers(config)
    train_students(config)
    assert Path("runs/some/student/kd@both/seed_0/fold_1/metrics.json").exists()
    wrong = settings("other", *overrides, "distillation.variants=kd@both, ce")
    train_teachers(wrong)
    with pytest.raises(UserError, match="student/ce/seed_0/fold_1/weights.safetensors, of the ens"):
        train_students(wrong)


def test_the_variants_of_the_task_are_trained_and_recorded():
    config = settings("some", "data.folds=1", "student.epochs=1", "distillation.variants=")
    train_teachers(config)
    train_students(config)
    folders = {path.name for path in Path("runs/some/student").iterdir()}
    assert folders == {"ce", "ce+kd", "ce+kd+sp"}
    assert "variants = ce, ce+kd, ce+kd+sp" in Path("runs/some/config.ini").read_text()
