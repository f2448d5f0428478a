"""Weights of a run are loaded by the names of their classes, not by position."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from config import ConfigError, UserError
from models.stored import ENTRY, read_description
from tests.models.test_models import build, every_case, input_shape_of
from tests.resealed import reseal
from tests.training.tiny_runs import settings
from training.builders import new_model
from training.class_order import difference, reorder_classes
from training.experiment import Experiment
from training.fold import open_fold
from training.role import STUDENT, TEACHER
from training.stages import train_students, train_teachers

WEIGHTS = Path("runs/other/teacher/seed_0/fold_1/weights.safetensors")


@every_case
def test_the_outputs_of_every_model_are_reordered(name, options):
    model, one_more = build(name, options), build(name, options, num_classes=4)
    x = torch.randn(2, *input_shape_of(name))
    with torch.no_grad():
        before = model.eval()(x).logits
        reorder_classes(model, one_more, ("a", "b", "c"), ("c", "a", "b"))
        torch.testing.assert_close(model(x).logits, before[:, [2, 0, 1]])
    assert not torch.equal(before[:, 0], before[:, 1])


def test_a_difference_is_a_few_names_and_a_count():
    assert difference(["a", "b"], ["a", "b"]) == ""
    assert difference(["b", "a"], ["a", "b"]) == "of classes in another order"
    assert difference(["a", "c"], ["a", "b"]) == "of other classes: without 'b', with 'c'"
    many = difference([], [f"{n}" for n in range(527)])
    assert many == "of other classes: without '0', '1', '2', '3', '4' and 522 more"


@pytest.fixture
def place(place):
    """With a finished run of its classes, a and b."""
    train_teachers(settings("other", "data.folds=1"))
    return place


def rename(path, *classes):
    """The classes in the header of weights."""
    described = read_description(path).header()
    entry = json.loads(described[ENTRY]) | {"classes": classes}
    save_file(load_file(path), path, {ENTRY: json.dumps(entry)})
    reseal(path.parent)


def opened(*overrides):
    return open_fold(Experiment.open(settings("next", *overrides), "teacher", "student"), 1)


@pytest.mark.parametrize("role", [TEACHER, STUDENT], ids=str)
def test_the_classifier_of_another_run_is_reordered(place, role):
    fold = opened(f"{role}.init=runs/other/teacher")
    same = new_model(fold, role, 0).state_dict()
    rename(WEIGHTS, "b", "a")
    swapped = new_model(fold, role, 0).state_dict()
    for name, tensor in same.items():
        expected = tensor[[1, 0]] if name.startswith("classifier") else tensor
        assert torch.equal(swapped[name], expected), name


@pytest.mark.parametrize("role", [TEACHER, STUDENT], ids=str)
def test_weights_of_other_classes_are_refused(place, role):
    rename(WEIGHTS, "a", "rain")
    with pytest.raises(ConfigError) as error:
        new_model(opened(f"{role}.init=runs/other/teacher"), role, 0)
    assert str(error.value) == (
        f"[{role}] init: found {WEIGHTS}, of other classes: without 'b', with 'rain'; "
        "LOAD_CLASSIFIER = no leaves its classifier out"
    )
    start = opened(f"{role}.init=runs/other/teacher", f"{role}.load_classifier=no")
    new_model(start, role, 0)


@pytest.mark.parametrize("further", [(), ("distillation.variants=ce", "student.init=teacher")])
@pytest.mark.parametrize("classes", [("b", "a"), ("a", "c")])
def test_a_teacher_of_this_run_has_the_same_classes_in_the_same_order(place, further, classes):
    rename(WEIGHTS, *classes)
    message = r"teacher/seed_0/fold_1/weights.safetensors is of .*: run its training again, with --"
    with pytest.raises(UserError, match=message):
        train_students(settings("other", "data.folds=1", *further))
