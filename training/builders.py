"""Models of a run: their architecture, the weights they start from, and their precision."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from config import Config, ConfigError, RoleSettings, UserError, nearest, reason_of
from config.pretrained import PRETRAINED
from data.checksums import read_finished
from models import find_model
from models.class_map import ClassMap, map_classes
from models.freeze import freeze
from models.precision import to_precision
from models.pretrained import IMAGENET, imagenet_weights, is_imagenet, load_backbone
from models.published import load_all, read_weights
from models.stored import find_description
from training.checks import model_options
from training.class_map import classes_of_init, classes_of_module, find_class_map
from training.class_order import difference, reorder_classes
from training.experiment import Experiment
from training.fold import FoldData
from training.pretrained_files import pretrained_file
from training.role import STUDENT, TEACHER, Role
from training.role_settings import INIT_STUDENT, INIT_TEACHER, settings_of
from training.run_folder import (
    METRICS,
    WEIGHTS,
    find_training,
    teacher_weights_file,
    training_path,
)

CALIBRATION_CLIPS = 64


def build_model(experiment: Experiment, role: str, class_map: ClassMap | None = None) -> nn.Module:
    """The model of "teacher" or "student", with random weights, on the device. `class_map`: of a
    model of other classes.
    """
    shape, table = experiment.features[role].shape, experiment.table
    outputs = class_map.outputs if class_map else len(table.classes)
    model = build_architecture(experiment.config, role, outputs, shape)
    if class_map:
        map_classes(model, class_map, table.task)
    model = model.to(experiment.device).to(memory_format=torch.channels_last)
    if experiment.config.augment_of(role).crop_seconds:
        check_crop(experiment, role, model)
    return model


def build_architecture(
    config: Config, role: str, num_classes: int, input_shape: Sequence[int]
) -> nn.Module:
    constructor = find_model(f"[{role}] model", getattr(config, role).model)
    options = model_options(config, role)
    try:
        return constructor(num_classes=num_classes, input_shape=tuple(input_shape), **options)
    except ConfigError as error:
        if error.where.startswith("["):
            raise
        raise ConfigError(f"[{role}] {error.where}", error.message) from None
    except (RuntimeError, MemoryError, OverflowError) as error:
        if ":" in getattr(config, role).model:  # the user's own code
            raise
        found = f"cannot be built with its options and these features: {reason_of(error)}"
        raise ConfigError(f"[{role}] model", found) from error


@torch.no_grad()
def check_crop(experiment: Experiment, role: str, model: nn.Module) -> None:
    """Raises ConfigError for a model that cannot take inputs as short as its training crops."""
    channels, steps, *bands = experiment.features[role].shape
    seconds = experiment.config.augment_of(role).crop_seconds
    steps = experiment.augmentation(role, (role,)).steps(steps)
    shape = "x".join(map(str, (channels, steps, *bands)))
    try:
        model.eval()(torch.zeros(1, channels, steps, *bands, device=experiment.device))
    except (RuntimeError, ValueError, IndexError) as error:
        reason = reason_of(error)
        raise ConfigError(
            "[augment] crop_seconds",
            f"{seconds:g} s are {shape} to the {role}, whose model cannot take it: {reason}",
        ) from error
    model.train()


def new_model(fold: FoldData, role: Role, seed: int, variant: str = "") -> nn.Module:
    """The model that a training starts from: seeded random weights or those of INIT, with FREEZE
    applied.
    """
    config, table = fold.config, fold.table
    settings = settings_of(config, role, seed, fold.number)
    find = partial(find_class_map, config, role, settings, table)
    path = init_weights(config, settings.init, seed, fold.number, variant)
    known = classes_of_init(settings.init, path)
    torch.manual_seed(seed)
    class_map = find(known) if known else None
    model = build_model(fold.experiment, role.features, class_map)
    if known is None and (of_module := find(classes_of_module(model, table.task))):
        map_classes(model, of_module, table.task)
    if path:
        of_this_run = settings.init in (INIT_TEACHER, INIT_STUDENT)
        continues = role not in (TEACHER, STUDENT)  # a training, with its classifier
        if of_this_run and (continues or settings.load_classifier):
            load_weights(model, path, table.classes)
        else:
            load_init(model, settings, path, f"[{role.features}] init")
            if known and settings.load_classifier and not class_map:
                put_in_order(model, fold, role, known.classes)
    freeze(model, settings.freeze)
    if role.precision != "float32":
        to_precision(model, role.precision, calibration_clips(fold, role))
    return model


def init_weights(config: Config, init: str, seed: int, fold: int, variant: str = "") -> Path | None:
    """The file that INIT stands for in the training of this seed and fold; None for no INIT.

    Raises UserError where it is not there.
    """
    if not init:
        return None
    if init == INIT_TEACHER:
        return teacher_weights_file(config, TEACHER, seed, fold)
    if init == INIT_STUDENT:
        return training_path(config, "student", variant, seed, fold) / WEIGHTS
    if init in PRETRAINED:
        return pretrained_file(init)
    path = Path(init)
    if init != IMAGENET and not path.exists():
        found = f"INIT = {init} is neither a file, a run nor the name of published weights"
        raise UserError(found + nearest(init, PRETRAINED))
    if not path.is_dir():
        return path
    folder = find_training(path, seed, fold)
    if (metrics := folder / METRICS).exists():  # and not only the weights
        read_finished(metrics, f"remove {folder} and train it again")
    return folder / WEIGHTS


def put_in_order(model: nn.Module, fold: FoldData, role: Role, found: Sequence[str]) -> None:
    """Reorder the outputs of a model for the classes `found` to those of the table."""
    classes, shape = fold.table.classes, fold.features[role.features].shape
    if found == classes:
        return
    with torch.random.fork_rng(devices=[]):
        wider = build_architecture(fold.config, role.features, len(classes) + 1, shape)
    reorder_classes(model, wider, found, classes)


def load_init(model: nn.Module, settings: RoleSettings, path: Path, where: str) -> None:
    """Fill a model from INIT. Raises UserError, ConfigError that names `where`."""
    if settings.init == IMAGENET:
        try:
            weights = imagenet_weights(model)
        except ConfigError as error:
            raise ConfigError(where, error.message) from None
    else:
        weights = read_weights(path)
    start = not settings.load_classifier or is_imagenet(model, weights)
    try:
        if start:
            load_backbone(model, weights, settings.init_colours)
        else:
            load_all(model, weights)
    except UserError as error:
        hint = (
            ""
            if start
            else "; LOAD_CLASSIFIER = no leaves its classifier out and fits its positions"
        )
        raise UserError(f"{where} {path}: {error}{hint}") from None


def load_weights(model: nn.Module, path: Path, classes: Sequence[str]) -> None:
    """Of a training of this run. Raises UserError that names the file, and the classes or each
    tensor that does not fit.
    """
    if (found := find_description(path)) and (wrong := difference(found.classes, classes)):
        raise UserError(f"{path} is {wrong}: run its training again, with --overwrite")
    weights = read_weights(path)
    try:
        load_all(model, weights)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def autocast(config: Config, role: Role) -> Literal["float32", "bfloat16"]:
    """PRECISION of [run]; a model in fewer bits does without."""
    return config.run.precision if role.precision == "float32" else "float32"


def calibration_clips(fold: FoldData, role: Role) -> list[Tensor]:
    """Training clips from all over the table, (1, C, T, F) each, which set the ranges of int8."""
    rows, features = fold.split.train, fold.features[role.features]
    places = np.linspace(0, len(rows) - 1, min(CALIBRATION_CLIPS, len(rows))).round()
    return [features[torch.as_tensor(rows[[place]])] for place in places.astype(int)]
