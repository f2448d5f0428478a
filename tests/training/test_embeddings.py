"""A classifier trained on the cached embeddings of a frozen backbone."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from config import ConfigError, UserError
from models import MODELS
from models.freeze import freeze, training_mode
from tests.training.tiny_runs import settings
from training import heads
from training.builders import new_model
from training.embeddings import fingerprint, on_embeddings, teacher_on_embeddings
from training.experiment import Experiment
from training.fold import open_fold
from training.inputs import build_replay
from training.logistic_regression import fit_classifier, linear_layer
from training.predict import forward_all
from training.role import TEACHER
from training.stages import train_students, train_teachers
from training.steps import OnlineTeacher
from training.teachers import read_teacher

PROBE = (
    "teacher.freeze=backbone",
    "teacher.batch_norm=yes",
    "teacher.dropout=0.5",
    "teacher.epochs=3",
    "teacher.batch_size=2",
)
FITTED = (*PROBE[:2], "teacher.head_fit=logistic_regression", "teacher.epochs=0")
FITTED += ("teacher.learning_rate=0.0001",)  # the default: a key without effect is an error
WEIGHTS = "runs/{}/teacher/seed_0/fold_{}/weights.safetensors"


def live(fold, role, model, replay):
    return model, fold


def test_a_head_on_embeddings_equals_one_behind_the_live_backbone(place, monkeypatch):
    train_teachers(settings("cached", *PROBE))
    monkeypatch.setattr(heads, "on_embeddings", live)
    train_teachers(settings("live", *PROBE))
    for fold in (1, 2):
        cached, other = (load_file(WEIGHTS.format(name, fold)) for name in ("cached", "live"))
        assert cached.keys() == other.keys()
        for name, tensor in cached.items():
            torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-6)
    assert not (place / "runs/live/embeddings").exists()


VIEWS = (
    *("student.freeze=backbone", "student.batch_norm=yes", "student.epochs=3"),
    *("augment.mixup_alpha=1", "augment.mixup_prob=0.5", "augment.gain_db=6"),
    *("distillation.augmented_views=2", "distillation.variants=ce, ce+kd"),
    *("augment.mixstyle_alpha=0.4", "augment.wave_mixup_alpha=2"),
)


def test_a_head_on_embeddings_of_views_equals_one_behind_the_live_backbone(place, monkeypatch):
    for name in ("cached", "live"):
        config = settings(name, *VIEWS)
        train_teachers(config)
        train_students(config)
        monkeypatch.setattr(heads, "on_embeddings", live)
    students = sorted(place.glob("runs/cached/student/**/weights.safetensors"))
    assert len(students) == 4
    for path in students:
        cached, other = load_file(path), load_file(str(path).replace("/cached/", "/live/"))
        for name, tensor in cached.items():
            torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-6)
    assert len(list((place / "runs/cached/embeddings").iterdir())) == 5  # clips, two views a fold
    assert not (place / "runs/live/embeddings").exists()


def test_students_of_labels_alone_have_the_same_views(place):
    fold = open_fold(Experiment.open(settings("any", *VIEWS), "teacher", "student"), 1)
    replays = [build_replay(fold, 0, labelled_only=only) for only in (True, False)]
    assert len({replay.fingerprint(1) for replay in replays}) == 1


def test_folds_share_the_embeddings_unless_each_is_normalised_by_its_own_clips(place):
    for name, kind, folders in (("one", "none", 1), ("each", "global", 2)):
        train_teachers(settings(name, *FITTED, f"mel.normalise={kind}"))
        assert len(list((place / f"runs/{name}/embeddings").iterdir())) == folders


def test_a_logistic_regression_is_a_training_like_any_other(place):
    train_teachers(settings("fitted", *FITTED))
    folder = (place / WEIGHTS.format("fitted", 1)).parent
    files = {path.name for path in folder.iterdir()}
    assert {"weights.safetensors", "history.csv", "predictions.csv", "metrics.json"} <= files
    first = (folder / "weights.safetensors").read_bytes()
    train_teachers(settings("fitted", *FITTED), overwrite=True)
    assert (folder / "weights.safetensors").read_bytes() == first


def test_distillation_looks_up_what_the_live_teacher_gives(place):
    config = settings("distilled", *FITTED, "distillation.variants=ce+kd+sp")
    train_teachers(config)
    train_students(config)
    fold = open_fold(Experiment.open(config, "teacher", "student"), 1)
    model = read_teacher(fold, TEACHER, 0)
    outputs = {"logits", "map_gram"}
    cached = teacher_on_embeddings(fold, TEACHER, model, outputs, outputs)
    rows = torch.as_tensor(fold.split.train)
    batch = dataclasses.make_dataclass("Batch", ["rows", "inputs", "view_index"])(
        rows, {"teacher": fold.features["teacher"][rows]}, 0
    )
    found, expected = cached.outputs(batch), OnlineTeacher(model).outputs(batch)
    torch.testing.assert_close(found["logits"], expected["logits"])
    maps = expected["map"].flatten(1)
    torch.testing.assert_close(found["map_gram"], maps @ maps.T)
    assert not list(place.glob("runs/distilled/teacher/**/outputs"))
    assert len(list(place.glob("runs/distilled/embeddings/*/embedding.*"))) == 1


def test_embeddings_depend_on_the_weights_before_the_classifier_alone():
    model = MODELS["dcase_small"](num_classes=2, input_shape=(1, 16, 8), width_mult=0.25)
    before = fingerprint(model)
    nn.init.ones_(model.classifier.weight)
    assert fingerprint(model) == before
    nn.init.ones_(next(model.parameters()))
    assert fingerprint(model) != before


def test_the_embeddings_replace_the_features_of_all_clips(place):
    fold = open_fold(Experiment.open(settings("any", *PROBE), "teacher"), 1)
    model = new_model(fold, TEACHER, 0)
    head, embedded = on_embeddings(fold, TEACHER, model, None)
    rows = np.array([5, 0, 3])
    for name in ("logits", "embedding"):
        torch.testing.assert_close(
            forward_all(head, embedded.features["teacher"], rows, name),
            forward_all(model, fold.features["teacher"], rows, name),
        )


def test_a_frozen_backbone_is_in_evaluation_mode():
    model = MODELS["dcase_small"](num_classes=2, input_shape=(1, 16, 8), batch_norm=True)
    freeze(model, ("backbone",))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"classifier.weight", "classifier.bias"}
    training_mode(model, ("backbone",))
    assert [name for name, part in model.named_modules() if part.training] == ["classifier"]
    with pytest.raises(UserError, match="no parameter of Linear begins with 'classifier.'"):
        freeze(nn.Linear(2, 2), ("backbone",))


def test_a_model_whose_classifier_does_not_take_the_embedding_is_named(place):
    config = settings("other", "teacher.freeze=backbone", "teacher.model=cp_mobile")
    config = dataclasses.replace(
        config, teacher=dataclasses.replace(config.teacher, options={"base_channels": "8"})
    )
    with pytest.raises(UserError, match=r"\[teacher\] freeze: the logits of CpMobile are not"):
        train_teachers(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("head_fit=logistic_regression", "epochs=0"), "head_fit: .* requires FREEZE = backbone"),
        (("freeze=backbone", "head_fit=logistic_regression"), "epochs: found 1, but HEAD_FIT"),
        (
            ("freeze=backbone", "head_fit=logistic_regression", "epochs=0", "load_classifier=yes"),
            "load_classifier: found yes, but HEAD_FIT = logistic_regression fits a new classifier",
        ),
        (("freeze=backbone", "head_c=1"), "head_c: found 1, but HEAD_FIT is gradient"),
        (("freeze=backbone, conv1",), "freeze: found backbone, conv1, but backbone is"),
        (("freeze=backbone", "backbone_lr_scale=0.1"), "backbone_lr_scale: found 0.1, but FREEZE"),
        (
            ("freeze=backbone", "head_fit=logistic_regression", "epochs=0", "learning_rate=0.2"),
            "learning_rate: found 0.2, which HEAD_FIT = logistic_regression does not use",
        ),
        (("freeze=backbone", "losses=ce+centre"), "freeze: .* centre of ce.centre compares the em"),
    ],
)
def test_a_key_without_effect_is_an_error(place, changes, message):
    with pytest.raises(ConfigError, match=message):
        train_teachers(settings("wrong", *(f"teacher.{change}" for change in changes)))


def test_augmented_clips_have_no_fixed_embeddings(place):
    with pytest.raises(ConfigError, match=r"\[teacher\] head_fit: .*augment"):
        train_teachers(settings("wrong", *FITTED, "augment.gain_db=3"))
    train_teachers(settings("augmented", *PROBE, "augment.gain_db=3"))
    assert not (place / "runs/augmented/embeddings").exists()


# Logistic regression ------------------------------------------------------------------------------


def clips(count, size=6):
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, size, generator=generator) * 3 + torch.arange(size)


def test_the_classifier_gives_scikit_learns_probabilities():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, labels = clips(60), np.arange(60) % 3
    for classes in (3, 2):
        targets = np.eye(classes)[labels % classes]
        linear = nn.Linear(6, classes)
        fit_classifier(linear, x, targets, "single_label", 0.5)
        reference = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=1000))
        reference.fit(x.double().numpy(), labels % classes)
        expected = reference.predict_proba(x.double().numpy())
        found = linear(x).softmax(1).detach().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-3)
    tags = np.stack([labels == 0, labels > 0], axis=1).astype(float)
    fit_classifier(linear, x, tags, "multi_label", 0.5)
    reference.fit(x.double().numpy(), labels > 0)
    expected = reference.predict_proba(x.double().numpy())
    np.testing.assert_allclose(linear(x).sigmoid().detach().numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_classes_without_clips_have_a_constant_logit(task):
    x = clips(20)
    x[:, 2] = 4.0  # no std
    targets = np.zeros((20, 4))
    targets[np.arange(20), np.arange(20) % 2] = 1
    linear = nn.Linear(6, 4)
    fit_classifier(linear, x, targets, task, 0.1)
    assert torch.isfinite(linear.weight).all()
    assert not linear.weight[2:].any()
    assert linear.bias[2:].tolist() == pytest.approx([np.log(0.5 / 20.5)] * 2)
    fit_classifier(linear, x, np.eye(4)[[1] * 20], task, 0.1)  # one class alone
    assert linear(x).argmax(1).tolist() == [1] * 20


def test_layer_normalisation_precedes_the_linear_layer_and_other_classifiers_are_named():
    norm, linear = nn.LayerNorm(6), nn.Linear(6, 2)
    before, last = linear_layer(nn.Sequential(norm, linear))
    assert last is linear
    assert torch.equal(before(clips(3)), norm(clips(3)))
    for classifier in (nn.Sequential(nn.Linear(6, 6), linear), nn.Linear(6, 2, bias=False)):
        with pytest.raises(UserError, match="requires a classifier of one linear layer"):
            linear_layer(classifier)
    with pytest.raises(UserError, match="no training clip has a label"):
        fit_classifier(linear, clips(0), np.zeros((0, 2)), "single_label", 1.0)
