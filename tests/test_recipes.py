"""config.ini and every recipe: parsed, and each name and option in it known, before any data."""

import argparse
from pathlib import Path

import pytest

import config
import train_matrix

ROOT = Path(config.__file__).parents[1]
FILES = [Path("config.ini"), *sorted(p.relative_to(ROOT) for p in ROOT.glob("recipes/*.ini"))]


@pytest.fixture(params=FILES, ids=str)
def settings(request):
    return config.load(ROOT / request.param)


def test_the_data_set_is_known_and_takes_its_options(settings):
    from data.datasets import DATASETS

    kind = config.choose("[data] dataset", DATASETS, settings.data.dataset)
    dataset = kind(**config.constructor_options("[data]", settings.data, kind))
    assert dataset.task in ("single_label", "multi_label")


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_the_model_is_known_and_takes_its_options(settings, role):
    from models import MODELS

    section = getattr(settings, role)
    kind = config.choose(f"[{role}] model", MODELS, section.model)
    options = config.constructor_options(f"[{role}]", section, kind)
    assert options.keys() == section.options.keys()


def test_the_losses_are_known(settings):
    from losses import LOSSES
    from losses.mix import names_of, teachers_of, uses_teacher

    for variant in settings.distillation.variants:
        assert names_of(variant)
        assert uses_teacher(variant) or teachers_of(variant) == "all"
    for name in settings.coefficients:
        config.choose(f"[coefficients] {name}", LOSSES, name)


def test_every_run_of_a_matrix_has_known_models_and_options():
    from models import MODELS

    for file in FILES:
        settings = config.load(ROOT / file)
        arguments = argparse.Namespace(config=ROOT / file, set=[])
        for path in train_matrix.paths(settings.matrix):
            found = train_matrix.settings_of(path, settings, "bce+kd", arguments)
            for role, name in zip(("student", "teacher"), reversed(path[-2:]), strict=False):
                section = getattr(found, role if len(path) > 1 else "teacher")
                assert f"MODEL={section.model} " in settings.matrix.options[name]
                kind = config.choose(f"[{role}] model", MODELS, section.model)
                config.constructor_options(f"[{role}]", section, kind)


@pytest.mark.parametrize(
    ("recipe", "section", "published"),
    [
        ("passt_audioset", "teacher", {"swa_start_epoch": 49, "swa_every_epochs": 5}),
        ("passt_audioset", "student", {"init": "mn10_im", "load_classifier": False}),
        ("passt_audioset", "augment.student", {"gain_db": 0, "warp_share": 0.02}),
        ("passt_esc50", "teacher", {"swa_start_epoch": 1, "swa_every_epochs": 1}),
        ("passt_esc50", "augment.teacher", {"mixup_domain": "log", "gain_db": 7}),
        ("specialists_raw", "mel", {"normalise": "fixed", "mean": 0, "std": 1 / 32_000}),
        ("sit_cochlscene", "mel.teacher", {"mel_max_hz": 15_500}),
        ("sit_cochlscene", "teacher", {"batch_size": 32}),
        ("sit_cochlscene", "augment.teacher", {"warp_share": 0.01}),
        ("sit_tau", "mel.teacher", {"mel_max_hz": 15_500}),
        ("sit_tau", "mel.student", {"mel_max_hz": 16_000}),
        ("sit_tau", "teacher", {"batch_size": 80}),
        ("sit_tau", "augment.teacher", {"warp_share": 0.01}),
        ("sit_tau", "augment.student", {"roll_seconds": 0}),
    ],
)
def test_the_published_settings(recipe, section, published):
    """As in the public code: samples x 32000; of PaSST's mels, an upper edge of half the rate less
    half of the jitter of 1000 Hz; `--roll`, which the code of SIT does not use; PaSST's first
    averaged weights, those at the start of its epoch 50 (AudioSet) and 2 (ESC-50), and its mixup of
    log-mels after a gain; EfficientAT's start, ImageNet, and augmentation, without a gain.
    """
    settings = config.load(ROOT / f"recipes/{recipe}.ini")
    name, _, role = section.partition(".")
    of_role = {"mel": settings.mel_of, "augment": settings.augment_of}
    found = of_role[name](role or "teacher") if name in of_role else getattr(settings, name)
    assert {key: getattr(found, key) for key in published} == published
