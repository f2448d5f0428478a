"""The weights that INIT loads into a model, and its errors."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

from config import ConfigError, RoleSettings, UserError
from models import MODELS
from models.output import CLASSIFIER
from tests.scripts import run, workplace
from tests.training.tiny_runs import settings, write_caches
from training.builders import init_weights, load_init, new_model
from training.experiment import Experiment
from training.fold import open_fold
from training.role import STUDENT, Role
from training.stages import train_teachers

WHERE = "[teacher] init"


def start(model, init, **settings):
    load_init(model, RoleSettings(init=init, **settings), Path(init), WHERE)


def ast(num_classes=3, frames=98):
    return MODELS["ast"](
        num_classes=num_classes, input_shape=(1, frames, 32), size="micro", depth=1
    )


@pytest.fixture
def file(tmp_path):
    """A trained model of other classes and longer clips."""
    torch.manual_seed(0)
    path = tmp_path / "trained.pth"
    torch.save(ast(7, 198).state_dict(), path)
    return path


def test_all_weights_are_loaded_into_a_model_of_the_same_shapes(file):
    model, weights = ast(7, 198), torch.load(file)
    start(model, str(file))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, weights[name])


def test_weights_that_do_not_fit_are_named_with_a_hint(file):
    with pytest.raises(UserError) as error:
        start(ast(), str(file))
    message = str(error.value)
    assert message.startswith(f"{WHERE} {file}: the weights do not fit SpectrogramTransformer: ")
    assert (
        "its positions are 19x2 patches (time x frequency), this model's 9x2: set STRIDE" in message
    )
    assert "classifier.1.weight is 7x128, expected 3x128" in message
    assert message.endswith(
        "; LOAD_CLASSIFIER = no leaves its classifier out and fits its positions"
    )


def test_a_start_takes_the_middle_of_the_positions_and_keeps_the_new_classifier(file):
    model, weights = ast(), torch.load(file)
    head = model.classifier[1].weight.clone()
    start(model, str(file), load_classifier=False)
    assert torch.equal(model.positions, weights["positions"][5:14])
    assert torch.equal(model.norm.weight, weights["norm.weight"])
    assert torch.equal(model.classifier[1].weight, head)


@pytest.mark.parametrize("colours", ["sum", "average"])
@pytest.mark.parametrize("source", ["file", "hub"])
def test_imagenet_comes_from_a_file_or_by_timm(tmp_path, monkeypatch, source, colours):
    torch.manual_seed(0)
    theirs = timm.create_model("efficientnet_b0")
    model = MODELS["efficientnet"](num_classes=3, input_shape=(1, 70, 40))
    init = "imagenet"
    if source == "file":
        init = str(Path(tmp_path, "b0.pth"))
        torch.save(theirs.state_dict(), init)
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: theirs)
    start(model, init, init_colours=colours)
    kernel = theirs.conv_stem.weight.transpose(2, 3)
    wanted = kernel.sum(1) if colours == "sum" else kernel.mean(1)
    torch.testing.assert_close(model.features.conv_stem.weight[:, 0], wanted)


def test_a_model_without_imagenet_weights_is_an_error_of_its_key():
    with pytest.raises(ConfigError) as error:
        start(ast(), "imagenet")
    assert str(error.value) == (
        "[teacher] init: found 'imagenet', but there are no such weights for "
        "SpectrogramTransformer with these options"
    )


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match=r"none\.pth: no such file of weights"):
        start(ast(), init="none.pth")


def test_trainings_are_found_by_seed_and_fold_or_where_there_is_only_one(tmp_path):
    only = tmp_path / "seed_0/fold_0/weights.safetensors"
    only.parent.mkdir(parents=True)
    only.touch()
    assert init_weights(None, str(tmp_path), 1, 2) == only
    own = tmp_path / "seed_1/fold_2/weights.safetensors"
    own.parent.mkdir(parents=True)
    own.touch()
    assert init_weights(None, str(tmp_path), 1, 2) == own
    assert init_weights(None, str(tmp_path), 0, 2) == only, "the only one of its seed"
    with pytest.raises(UserError, match="2 trainings, none of seed 3 and fold 2"):
        init_weights(None, str(tmp_path), 3, 2)


def test_a_slow_learner_starts_from_another_run_and_its_classifier_is_aligned(tmp_path):
    place = workplace(tmp_path)
    run(place, "make_mel.py")
    run(place, "train_teacher.py")
    slow = [
        "teacher.init=runs/config/teacher",
        "teacher.load_classifier=no",
        "teacher.backbone_lr_scale=0",
    ]
    further = {"slow": slow, "aligned": [*slow, "teacher.align_epochs=2"]}
    for name, changes in further.items():
        words = [word for text in (f"run.name={name}", *changes) for word in ("--set", text)]
        run(place, "train_teacher.py", *words)
    first, second, third = (
        load_file(place / f"runs/{name}/teacher/seed_0/fold_0/weights.safetensors")
        for name in ("config", *further)
    )
    for name, tensor in first.items():
        assert torch.equal(second[name], tensor) != name.startswith(CLASSIFIER), name
        assert torch.equal(third[name], second[name]) != name.startswith(CLASSIFIER), name


@pytest.mark.parametrize(
    ("role", "overrides", "whole"),
    [
        (STUDENT, ("student.init=teacher",), True),
        (STUDENT, ("student.init=teacher", "student.load_classifier=no"), False),
        (Role("specialist_1"), ("teacher.load_classifier=no",), True),
    ],
)
def test_the_classifier_of_the_teacher_is_loaded_or_not(
    tmp_path, monkeypatch, role, overrides, whole
):
    """A specialist continues the training of the teacher, whatever that started from."""
    monkeypatch.chdir(tmp_path)
    write_caches()
    train_teachers(settings("any", "data.folds=1", "run.seeds=1"))
    teacher = load_file("runs/any/teacher/seed_1/fold_1/weights.safetensors")
    experiment = Experiment.open(settings("any", *overrides), "teacher", "student")
    model = new_model(open_fold(experiment, 1), role, 1)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, teacher[name]) == (whole or not name.startswith(CLASSIFIER))
