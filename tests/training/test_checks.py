"""Configurations are checked against the tables without disk access."""

import builtins
from pathlib import Path

import pytest

from config import ConfigError, load
from training.checks import (
    check_config,
    outputs_repeat,
    teacher_losses,
    teacher_weights,
    with_variants,
)

TAGS = "data.dataset=csv_folder", "data.task=multi_label", "distillation.variants="


def config_of(folder, *overrides):
    path = folder / "config.ini"
    path.write_text("[data]\nDATASET = esc10\n[distillation]\nVARIANTS = ce, ce+kd\n")
    return load(path, overrides)


@pytest.fixture
def no_disk(monkeypatch):
    """Any file that is opened is an error."""

    def refuse(*arguments, **options):
        raise AssertionError(f"opened {arguments[0]}")

    def activate():
        monkeypatch.setattr(builtins, "open", refuse)
        monkeypatch.setattr(Path, "open", refuse)

    return activate


def test_a_right_configuration_gives_its_data_set_without_disk_access(tmp_path, no_disk):
    config = config_of(tmp_path)
    no_disk()
    dataset = check_config(config, "teacher", "student")
    assert dataset.task == "single_label"
    assert teacher_losses(config, dataset.task) == "ce"
    assert teacher_weights(config, dataset, "ce+kd") == {"teacher": 1.0}
    assert outputs_repeat(config, dataset)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("data.metric=nope",), r"metric: found 'nope' \(allowed: accuracy, expected_calib"),
        (("data.metric=acuracy",), "metric: found 'acuracy'; nearest: accuracy"),
        (
            ("data.metric=roc_auc",),
            "found 'roc_auc', but the data set is single-label",
        ),
        ((*TAGS, "data.metric=accuracy"), "found 'accuracy', but the data set is multi-label"),
    ],
)
def test_the_metric_is_one_of_the_task(tmp_path, overrides, message):
    config = config_of(tmp_path, "data.dataset=csv_folder", *overrides)
    with pytest.raises(ConfigError, match=message):
        check_config(config, "teacher", "student")


@pytest.mark.parametrize(("task", "label"), [("single_label", "ce"), ("multi_label", "bce")])
def test_variants_are_those_of_the_task_by_default(tmp_path, task, label):
    path = tmp_path / "config.ini"
    path.write_text(f"[data]\nDATASET = csv_folder\nTASK = {task}\n")
    config = load(path)
    dataset = check_config(config, "teacher", "student")
    expected = (label, f"{label}+kd", f"{label}+kd+sp")
    found = with_variants(config, dataset.task)
    assert found.distillation.variants == expected
    assert with_variants(found, "any").distillation.variants == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("student.model=dcase_smal", "nearest: dcase_small"),
        ("student.width=2", "nearest: width_mult"),
        ("coefficients.sq=3", "nearest: sp"),
        ("data.dataset=esc60", "nearest: esc50"),
        ("distillation.variants=bce", "found 'bce', but the data set is single-label"),
        ("distillation.augmented_views=2", "found 2, but .augment. is off"),
        ("distillation.variants=kd@specialists", "PAIRS is 0"),
        ("distillation.variants=kd@random", "PAIRS is 0"),
    ],
)
def test_a_wrong_configuration_is_an_error_without_disk_access(
    tmp_path, no_disk, override, message
):
    config = config_of(tmp_path, override)
    no_disk()
    with pytest.raises(ConfigError, match=message):
        check_config(config, "teacher", "student")


def test_specialists_of_a_teacher_without_epochs_require_a_learning_rate(tmp_path):
    specialists = "specialists.pairs=1", "teacher.epochs=0"
    message = r"\[specialists\] learning_rate: found none, but .*EPOCHS = 0"
    with pytest.raises(ConfigError, match=message):
        check_config(config_of(tmp_path, *specialists), "teacher")
    check_config(config_of(tmp_path, *specialists, "specialists.learning_rate=0.001"), "teacher")
    check_config(config_of(tmp_path, specialists[0]), "teacher")
    check_config(config_of(tmp_path, specialists[1]), "teacher")
