"""A teacher of other classes that is used as it is."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from config import ConfigError, UserError, load
from data.features.mel_cache import MelCache, cache_folder
from models import MODELS
from models.stored import Description, read_description, read_model
from tests.training.tiny_runs import settings
from training.builders import new_model
from training.dry_run import print_plan
from training.experiment import Experiment
from training.fold import open_fold
from training.predict import predict
from training.role import STUDENT, TEACHER, Role
from training.stages import train_students, train_teachers
from training.teachers import read_teacher

OTHER = ("engine, idling", "b", "rain", "a", "hum")
AS_IT_IS = ("teacher.epochs=0", "teacher.init=runs/other/teacher")
SETS = (*AS_IT_IS, "classes.a=rain, engine, idling", "classes.b=hum")
WEIGHTS = "seed_0/fold_1/weights.safetensors"


@pytest.fixture
def place(place):
    """With a finished training of five classes; the data set has a and b."""
    write_training()
    return place


def write_training(classes=OTHER, task="multi_label", folder="runs/other/teacher"):
    config = settings("any")
    shape = MelCache.open(cache_folder(config, "teacher")).shape
    options = {"width_mult": 0.25}
    torch.manual_seed(1)
    model = MODELS["dcase_small"](num_classes=len(classes), input_shape=shape, **options)
    described = Description(
        model="dcase_small",
        options=options,
        input_shape=shape,
        task=task,
        classes=classes,
        clip_seconds=1.0,
        front_end=config.teacher_mel,
        mean=(0.0,),
        std=(1.0,),
    )
    path = Path(folder, WEIGHTS)
    path.parent.mkdir(parents=True)
    save_file(model.state_dict(), path, described.header())


def opened(*overrides):
    return open_fold(Experiment.open(settings("mapped", *overrides), "teacher", "student"), 1)


def own_logits(fold, rows):
    """Of the five classes."""
    model = read_model(Path("runs/other/teacher", WEIGHTS))[0]
    with torch.no_grad():
        return model(fold.features["teacher"][torch.as_tensor(rows)]).logits.double()


# From the teacher to the table --------------------------------------------------------------------


def test_a_teacher_of_other_classes_is_evaluated_and_distilled_like_any_other(place, capsys):
    config = settings("mapped", *SETS, "distillation.variants=ce+kd+sp")
    print_plan(config, "teacher")
    parameters = sum(t.numel() for t in load_file(f"runs/other/teacher/{WEIGHTS}").values())
    assert f"{parameters:,} parameters" in capsys.readouterr().out
    train_teachers(config)
    train_students(config)
    fold, folder = opened(*SETS), Path("runs/mapped/teacher/seed_0/fold_1")
    found = pd.read_csv(folder / "predictions.csv")
    probabilities = own_logits(fold, fold.split.test).sigmoid()
    sets = torch.stack([probabilities[:, [0, 2]].amax(1), probabilities[:, 4]], dim=1)
    expected = sets / sets.sum(1, keepdim=True)
    np.testing.assert_allclose(found[["a", "b"]], expected, rtol=1e-4)
    record = json.loads((folder / "metrics.json").read_text())
    top = expected.argmax(1).numpy()
    assert record["figures"]["accuracy"] == np.mean(top == fold.labels(fold.split.test))
    assert record["settings"]["classes.a"] == "rain, engine, idling"
    assert (Path("runs/mapped/student/ce+kd+sp/seed_0/fold_1/weights.safetensors")).exists()


def test_the_stored_weights_are_those_of_the_teacher_and_rebuild_it(place):
    train_teachers(settings("mapped", *SETS))
    fold, path = opened(*SETS), Path("runs/mapped/teacher", WEIGHTS)
    stored, own = load_file(path), load_file(f"runs/other/teacher/{WEIGHTS}")
    assert stored.keys() == own.keys()
    assert all(torch.equal(stored[name], own[name]) for name in own)
    model, described = read_model(path)
    assert described.classes == ("a", "b")
    rows = fold.split.test
    rebuilt = predict(fold, TEACHER, model, rows)
    for same in (new_model(fold, TEACHER, 0), read_teacher(fold, TEACHER, 0)):
        np.testing.assert_array_equal(rebuilt, predict(fold, TEACHER, same, rows))


def test_a_finished_teacher_of_other_classes_is_the_init_of_further_runs(place):
    train_teachers(settings("mapped", *SETS))
    again = opened("teacher.epochs=0", "teacher.init=runs/mapped/teacher")
    first, model = read_model(Path("runs/mapped/teacher", WEIGHTS))[0], new_model(again, TEACHER, 0)
    rows = again.split.test
    np.testing.assert_array_equal(
        predict(again, TEACHER, model, rows), predict(again, TEACHER, first, rows)
    )
    swapped = opened(
        *("teacher.epochs=0", "teacher.init=runs/mapped/teacher"), *("classes.a=b", "classes.b=a")
    )
    np.testing.assert_array_equal(
        predict(swapped, TEACHER, new_model(swapped, TEACHER, 0), rows),
        predict(again, TEACHER, model, rows)[:, ::-1],
    )


def test_other_sets_are_other_settings(place):
    train_teachers(settings("mapped", *SETS))
    with pytest.raises(UserError, match="classes.b: hum -> rain"):
        train_teachers(settings("mapped", *SETS, "classes.b=rain"))


def test_ensembles_contain_such_a_teacher(place):
    train_teachers(settings("second", *SETS, "data.folds=1"))
    extra = (*SETS, "ensembles.fusion=teacher, runs/second/teacher")
    train_teachers(settings("mapped", *extra, "data.folds=1"))
    found = pd.read_csv("runs/mapped/fusion/seed_0/fold_1/predictions.csv")
    alone = pd.read_csv("runs/mapped/teacher/seed_0/fold_1/predictions.csv")
    np.testing.assert_allclose(found[["a", "b"]], alone[["a", "b"]], rtol=1e-5)
    train_students(settings("mapped", *extra, "data.folds=1", "distillation.variants=kd@fusion"))


# By the same names --------------------------------------------------------------------------------


def test_without_sets_the_classes_are_found_by_their_names(place):
    fold = opened(*AS_IT_IS)
    probabilities = own_logits(fold, fold.split.test).sigmoid()[:, [3, 1]]
    np.testing.assert_allclose(
        predict(fold, TEACHER, new_model(fold, TEACHER, 0), fold.split.test),
        probabilities / probabilities.sum(1, keepdim=True),
        rtol=1e-5,
    )


def test_equal_classes_are_not_mapped(place):
    write_training(("a", "b"), "single_label", "runs/same/teacher")
    fold = opened("teacher.epochs=0", "teacher.init=runs/same/teacher")
    assert not hasattr(new_model(fold, TEACHER, 0), "class_map")
    train_teachers(fold.config)
    assert read_description(Path("runs/mapped/teacher", WEIGHTS)).class_map is None


def test_a_class_that_the_teacher_has_not_is_an_error_with_a_hint(place):
    write_training(("aa", "b", "c"), folder="runs/third/teacher")
    fold = opened("teacher.epochs=0", "teacher.init=runs/third/teacher")
    message = (
        r"init: found runs/third.* of 3 classes, without 'a'; nearest: aa .*; \[classes\] maps"
    )
    with pytest.raises(ConfigError, match=message):
        new_model(fold, TEACHER, 0)


# Modules of a user --------------------------------------------------------------------------------

MODULE = """
from torch import nn
from models.own import Adapted

def build(*, num_classes, input_shape, width_mult: float = 1, task: str = "", named: bool = True):
    net = nn.Sequential(nn.Flatten(), nn.Linear(input_shape[1] * input_shape[2], 5))
    classes = ["engine, idling", "b", "rain", "a", "hum"] if named else None
    return Adapted(net, layout="btf", classes=classes, task=task or None)
"""
OWN = ("teacher.epochs=0", "teacher.model=theirs.py:build")


@pytest.fixture
def module(place):
    Path("theirs.py").write_text(MODULE)


def logits_of_module(fold, model):
    clips = fold.features["teacher"][torch.as_tensor(fold.split.test)][:, 0]
    with torch.no_grad():
        return model.module(clips).double()


@pytest.mark.parametrize("task", ["", "multi_label"])
def test_the_columns_of_a_module_are_chosen_by_the_names_of_its_classes(module, task):
    fold = opened(*OWN, f"teacher.task={task}" if task else "teacher.named=yes")
    model = new_model(fold, TEACHER, 0)
    chosen = logits_of_module(fold, model)[:, [3, 1]]
    expected = chosen.sigmoid() if task else chosen.exp()
    np.testing.assert_allclose(
        predict(fold, TEACHER, model, fold.split.test),
        expected / expected.sum(1, keepdim=True),
        rtol=1e-5,
    )


def test_sets_of_the_classes_of_a_module(module):
    fold = opened(*OWN, "classes.a=rain, engine, idling", "classes.b=hum")
    model = new_model(fold, TEACHER, 0)
    p = logits_of_module(fold, model).softmax(1)
    expected = torch.stack([p[:, [0, 2]].sum(1), p[:, 4]], dim=1)
    np.testing.assert_allclose(
        predict(fold, TEACHER, model, fold.split.test),
        expected / expected.sum(1, keepdim=True),
        rtol=1e-5,
    )
    train_teachers(fold.config)
    again = predict(fold, TEACHER, read_teacher(fold, TEACHER, 0), fold.split.test)
    stored = pd.read_csv("runs/mapped/teacher/seed_0/fold_1/predictions.csv")
    np.testing.assert_allclose(stored[["a", "b"]], again, rtol=1e-6)


def test_a_module_without_names_cannot_have_sets(module):
    fold = opened(*OWN, "teacher.named=no", "classes.a=rain", "classes.b=hum")
    with pytest.raises(ConfigError, match=r"\[classes\]: requires a teacher with class names"):
        new_model(fold, TEACHER, 0)


def test_a_module_of_other_classes_is_not_trained(module):
    fold = opened("teacher.model=theirs.py:build", "student.model=theirs.py:build")
    for role in (TEACHER, STUDENT):
        with pytest.raises(
            ConfigError, match="model: found a model, of other classes: with 'engine"
        ):
            new_model(fold, role, 0)


def test_other_outputs_without_names_are_an_error(module):
    fold = opened(*OWN, "teacher.named=no")
    with pytest.raises(
        UserError, match=r"\[teacher\] model: found 5 logits, expected one for each"
    ):
        predict(fold, TEACHER, new_model(fold, TEACHER, 0), fold.split.test)


# Refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("teacher.epochs=1",), r"\[classes\]: is for a teacher that is used as it is: EPOCHS = 0"),
        (("teacher.align_epochs=1",), r"\[classes\]: is for a teacher that is used as it is"),
        (("teacher.load_classifier=no",), r"\[classes\]: is for a teacher that is used as it is"),
        (("teacher.freeze=backbone",), r"\[classes\]: is for a teacher that is used as it is"),
        (("specialists.pairs=1",), r"\[specialists\] pairs: found 1, but a teacher of other cl"),
    ],
)
def test_sets_are_for_a_teacher_that_is_used_as_it_is(place, overrides, message):
    with pytest.raises(ConfigError, match=message):
        opened(*SETS, *overrides)


def test_names_of_a_published_model_are_checked_before_any_data_is_read(place):
    sets = ("teacher.epochs=0", "classes.a=Siren, Police car", "classes.b=Dog")
    Path("yamnet.ini").write_text("[data]\nDATASET = esc50\n[teacher]\nINIT = yamnet\n")
    config = load(Path("yamnet.ini"), (*sets, "distillation.variants=ce+kd"))
    with pytest.raises(ConfigError, match=r"\[classes\] a: found 'Police car'.*nearest: Police"):
        Experiment.open(config, "teacher")


def test_weights_without_names_cannot_have_sets(place):
    Path("runs/other/teacher", WEIGHTS).unlink()
    torch.save({"w": torch.zeros(1)}, "theirs.pth")
    fold = opened(*SETS, "teacher.init=theirs.pth")
    with pytest.raises(ConfigError, match=r"\[classes\]: requires a teacher with class names"):
        new_model(fold, TEACHER, 0)


def test_a_set_of_all_classes_of_one_label_is_no_tag(place):
    write_training(("x", "y"), "single_label", "runs/two/teacher")
    fold = opened(
        *("teacher.epochs=0", "teacher.init=runs/two/teacher"), *("classes.a=x, y", "classes.b=x")
    )
    assert new_model(fold, TEACHER, 0).class_map.sets == ((0, 1), (0,))
    fold.table.task = "multi_label"
    with pytest.raises(ConfigError, match=r"\[classes\] a: contains all of the teacher's classes"):
        new_model(fold, TEACHER, 0)


def test_such_a_teacher_is_not_trained_further(place):
    """Without sets, too: by [specialists], by another run, or as the INIT of a student."""
    train_teachers(settings("mapped", *AS_IT_IS))
    further = ("specialists.pairs=1", "specialists.epochs=1", "specialists.learning_rate=0.1")
    fold = opened(*AS_IT_IS, *further)
    message = r"{}: found runs/.*, a teacher of other classes, .*: it is not trained further"
    with pytest.raises(ConfigError, match=message.format(r"\[specialists\] pairs")):
        new_model(fold, Role("specialist_1"), 0)
    with pytest.raises(ConfigError, match=message.format(r"\[student\] init")):
        new_model(opened("student.init=teacher"), STUDENT, 0)
    fold = opened("teacher.init=runs/mapped/teacher", "teacher.epochs=2")
    with pytest.raises(ConfigError, match=message.format(r"\[teacher\] init")):
        new_model(fold, TEACHER, 0)
    start = opened("teacher.init=runs/mapped/teacher", "teacher.load_classifier=no")
    assert not hasattr(new_model(start, TEACHER, 0), "class_map")
