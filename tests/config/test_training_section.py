"""[teacher] and [student]: keys that have no effect beside others are refused."""

import pytest

from config import ConfigError, Student, Teacher

HEAD = {
    "freeze": ("backbone",),
    "head_fit": "logistic_regression",
    "epochs": 0,
    "load_classifier": False,
}


@pytest.mark.parametrize(
    ("key", "keys", "words"),
    [
        ("pos_weight", {"pos_weight": "0"}, ["'0'", "balanced", "above 0"]),
        ("pos_weight", {"pos_weight": "many"}, ["'many'"]),
        ("pos_weight", {"pos_weight": "2e9"}, ["'2e9'"]),
        ("adam_betas", {"adam_betas": (0.9,)}, ["found 1"]),
        ("adam_betas", {"adam_betas": (0.9, 0.9, 0.9)}, ["found 3"]),
        ("swa_start_epoch", {"epochs": 4, "swa_start_epoch": 5}, ["found 5", "4"]),
        ("ensemble_start_epoch", {"epochs": 4, "ensemble_start_epoch": 5}, ["found 5", "4"]),
        ("swa_every_epochs", {"swa_every_epochs": 2}, ["found 2", "SWA_START_EPOCH"]),
        ("epoch_clips", {"epoch_clips": 9}, ["found 9", "SAMPLING", "shuffled"]),
        ("ramp_down_start_epoch", {"ramp_down_start_epoch": 3}, ["found 3", "constant"]),
        ("ramp_down_epochs", {"ramp_down_epochs": 3}, ["found 3", "constant"]),
        ("ramp_down_to", {"ramp_down_to": 0.1}, ["found 0.1", "constant"]),
        ("step_epochs", {"step_epochs": (3, 5), "schedule": "cosine"}, ["found 3, 5", "cosine"]),
        ("step_factor", {"step_factor": 0.2, "schedule": "cosine"}, ["found 0.2", "cosine"]),
        ("patience", {"patience": 2, "schedule": "step", "step_epochs": (3,)}, ["found 2", "step"]),
        ("inverse_time_decay", {"inverse_time_decay": 0.1}, ["found 0.1", "constant"]),
        ("adam_betas", {"adam_betas": (0.9, 0.9), "optimiser": "sgd"}, ["found 0.9, 0.9", "sgd"]),
        (
            "warm_up_steps",
            {"warm_up_epochs": 1, "warm_up_steps": 7},
            ["found 7", "WARM_UP_EPOCHS = 1"],
        ),
        ("warm_up_epochs", {"epochs": 4, "warm_up_epochs": 5}, ["found 5", "4"]),
        ("freeze", {"freeze": ("backbone", "stem")}, ["backbone, stem"]),
        (
            "backbone_lr_scale",
            {"freeze": ("backbone",), "backbone_lr_scale": 0.5},
            ["found 0.5", "FREEZE"],
        ),
        ("head_c", {"head_c": 2.0}, ["found 2,", "gradient"]),
        ("head_fit", HEAD | {"freeze": ()}, ["'logistic_regression'", "FREEZE = backbone"]),
        ("epochs", HEAD | {"epochs": 3}, ["found 3", "logistic_regression"]),
        ("load_classifier", HEAD | {"load_classifier": True}, ["found yes"]),
        ("batch_size", HEAD | {"batch_size": 9}, ["found 9", "logistic_regression"]),
    ],
)
@pytest.mark.parametrize("kind", [Teacher, Student])
def test_a_key_without_effect_is_named_with_its_value(kind, key, keys, words):
    with pytest.raises(ConfigError) as caught:
        kind(**keys)
    assert caught.value.where == f"[{kind.__name__.lower()}] {key}"
    assert [word for word in words if word not in caught.value.message] == []


@pytest.mark.parametrize(
    "keys",
    [
        {"pos_weight": "balanced"},
        {"pos_weight": "0.5"},
        {"pos_weight": "1e9"},
        {"epochs": 4, "swa_start_epoch": 4, "swa_every_epochs": 2, "ensemble_start_epoch": 4},
        {"sampling": "balanced", "epoch_clips": 9},
        {"schedule": "warm_up_linear_down", "ramp_down_start_epoch": 3, "ramp_down_epochs": 3},
        {"schedule": "step", "step_epochs": (3, 5), "step_factor": 0.2},
        {"schedule": "plateau", "patience": 2, "step_factor": 0.2},
        {"schedule": "inverse_time", "inverse_time_decay": 0.1},
        {"optimiser": "amsgrad", "adam_betas": (0.9, 0.9)},
        {"epochs": 4, "warm_up_epochs": 4},
        {"epochs": 0, "warm_up_epochs": 4, "pos_weight": "many"},  # nothing is trained
        {"freeze": ("stem", "blocks.0"), "backbone_lr_scale": 0.5},
        {"freeze": ("backbone",)},
        HEAD | {"head_c": 2.0, "init": "x.safetensors", "model": "ast", "init_colours": "average"},
    ],
)
def test_keys_that_go_together(keys):
    assert {name: getattr(Teacher(**keys), name) for name in keys} == keys


@pytest.mark.parametrize(
    ("keys", "as_it_is"),
    [
        ({"epochs": 0}, True),
        ({"epochs": 1}, False),
        ({"epochs": 0, "align_epochs": 1}, False),
        ({"epochs": 0, "freeze": ("backbone",)}, False),
        ({"epochs": 0, "load_classifier": False}, False),
    ],
)
def test_a_model_of_which_nothing_is_trained_is_used_as_it_is(keys, as_it_is):
    assert Teacher(**keys).is_used_as_it_is is as_it_is
