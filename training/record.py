"""What is recorded of a training: the settings it depends on, its model, and its results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor, nn

from config import Config, LossSettings, RoleSettings, flat_items, to_text
from data.augment.impulse_responses import read_responses
from data.checksums import sha256_of
from data.tables.splits import Split
from losses.mix import names_of
from metrics.inputs import decisions
from models.cost import cost
from models.own import code_fingerprint
from models.stored import Description, find_description
from training.builders import init_weights
from training.checks import model_options, teacher_weights
from training.earlier import INIT_WEIGHTS, check_init, check_teacher, features_by_content
from training.ensembles import ensemble_settings
from training.fold import FoldData
from training.inputs import repeats_labelled
from training.label_enhancement import enhancement_settings
from training.loop import Fitted
from training.plan import Training
from training.role import TEACHER, Role
from training.role_settings import settings_of
from training.run_folder import METRICS, TrainingFolder, teacher_weights_file, training_path
from training.systems import evaluation_targets, figures_of, predictions_table, write_mean

NOT_RECORDED = (
    "data.root",
    "data.folds",
    "data.on_bad_audio",
    "data.outside_root",
    "distillation.variants",
    "distillation.teacher_weights",  # the weight of each teacher is
)
"""Settings of where the data lies or what else is trained: no training depends on them."""


def configured_settings(config: Config, training: Training) -> dict[str, str]:
    """What one training depends on in a configuration, flat."""
    role, variant = training.role, training.variant
    settings = settings_of(config, role, training.seed, training.fold)
    sections = {
        "data": config.data,
        f"mel.{role}": config.mel_of(role.name),
        str(role): settings,
        "augment": config.augment_of(role.name),
    }
    if role == TEACHER:
        sections["classes"] = config.classes
    if training.uses_teacher:
        sections |= {"distillation": config.distillation, "mel.teacher": config.teacher_mel}
    found = {
        f"{name}.{key}": to_text(value)
        for name, section in sections.items()
        for key, value in flat_items(section)
        if f"{name}.{key}" not in NOT_RECORDED
    }
    if role.name == "student" and (views := config.distillation.augmented_views):
        found["distillation.augmented_views"] = to_text(views)
    if role.precision == "int8" and settings.epochs:
        found["quantisation.freeze_epochs"] = to_text(config.quantisation.freeze_epochs)
    for loss in names_of(variant):
        found[f"coefficients.{loss}"] = to_text(config.coefficients.get(loss, 1.0))
        for key, value in flat_items(config.losses.get(loss, LossSettings())):
            found[f"loss.{loss}.{key}"] = value
    return found | {
        "variant": variant,
        "run.precision": config.run.precision,
        "run.compile": config.run.compile,
    }


def recorded_settings(fold: FoldData, training: Training) -> dict[str, str]:
    """All that one training depends on, flat, so that trainings of other settings never mix."""
    return settings_but_init(fold, training) | init_settings(fold, training)


def init_settings(fold: FoldData, training: Training) -> dict[str, str]:
    """The weights of INIT. Raises UserError for those of a training that do not fit."""
    config, role, seed, variant = fold.config, training.role, training.seed, training.variant
    settings = settings_of(config, role, seed, fold.number)
    path = init_weights(config, settings.init, seed, fold.number, variant)
    if not path or not path.is_file():
        return {}
    if path.with_name(METRICS).is_file() and find_description(path):  # of a training
        check_init(fold, path, role.features, settings.is_used_as_it_is)
    return {INIT_WEIGHTS: sha256_of(path)}


def settings_but_init(fold: FoldData, training: Training) -> dict[str, str]:
    config, role = fold.config, training.role
    inputs = (role.features, "teacher") if training.uses_teacher else (role.features,)
    settings = settings_of(config, role, training.seed, fold.number)
    found = configured_settings(config, training)
    found |= teacher_settings(fold, training)
    found |= enhancement_settings(config, fold.number)
    if folder := config.augment_of(role.name).impulse_responses:
        found["impulse responses"] = read_responses(Path(folder)).fingerprint()
    if role == TEACHER and settings.epochs and repeats_labelled(config, role):
        train = fold.split.train
        if len(fold.labelled(train)) < len(train):
            found["labelled clips"] = "repeated"
    if training.pair:
        found["pair"] = ", ".join(fold.table.classes[k] for k in training.pair)
    return found | {
        "clips": fold.features[role.features].cache.files["clips.csv"],
        **inputs_by_content(fold, inputs),
    }


def logged_settings(fold: FoldData, training: Training) -> dict[str, str | int | float]:
    """Those that a logger shows: which training it is, and the settings of its role."""
    role, variant, seed, number, _ = training
    settings = flat_items(settings_of(fold.config, role, seed, number))
    return {
        "dataset": fold.config.data.dataset,
        "role": str(role),
        "variant": variant,
        "seed": seed,
        "fold": number,
        **{
            f"{role.features}.{key}": value if isinstance(value, int | float) else to_text(value)
            for key, value in settings
        },
    }


def inputs_by_content(fold: FoldData, names: Iterable[str]) -> dict[str, str]:
    """What no setting describes: the features of these roles, and the code of a user's model."""
    found = {}
    for name in names:
        found[f"features.{name}"] = features_by_content(fold, name)
        if code := code_fingerprint(getattr(fold.config, name).model):
            found[f"code.{name}"] = code
    return found


def teacher_settings(fold: FoldData, training: Training) -> dict[str, str]:
    """The weights of each teacher, as a file and as a factor. Raises UserError."""
    config = fold.config
    found: dict[str, str] = {}
    for name, weight in teacher_weights(config, fold.experiment.dataset, training.variant).items():
        if name not in config.teachers():
            found |= ensemble_settings(fold, name, training.seed)
            continue
        file = teacher_weights_file(config, Role(name), training.seed, fold.number)
        check_teacher(fold, file, own_teacher(fold, training.seed) if name == "teacher" else None)
        found[f"{name} weights"] = sha256_of(file)
        found[f"{name} weight"] = to_text(weight)
    return found


def own_teacher(fold: FoldData, seed: int) -> dict[str, str] | None:
    """The settings that the teacher of this run is trained with, without the weights of its INIT,
    which may be on another machine; None where it is of another run.
    """
    if fold.config.run.teacher_run:
        return None
    losses = fold.experiment.teacher_losses
    return settings_but_init(fold, Training(TEACHER, losses, seed, fold.number))


def write_training(
    fold: FoldData,
    training: Training,
    folder: TrainingFolder,
    model: nn.Module,
    fitted: Fitted,
    predicted: np.ndarray,
    seconds: float,
) -> dict[str, float]:
    """Write the files of a finished training; its figures.

    Where the test clips have no labels, the teacher agrees with itself.

    Shapes: predicted (N, K) probabilities of the test clips.
    """
    config, table, split, role = fold.config, fold.table, fold.split, training.role
    settings = settings_of(config, role, training.seed, fold.number)
    sizes = cost(model, fold.features[role.features].shape)._asdict()
    agrees = role == TEACHER and not len(fold.labelled(split.test))
    targets = (
        decisions(predicted, table.task) if agrees else evaluation_targets(fold, training.seed)
    )
    figures = figures_of(fold, predicted, targets)
    record = {
        "role": str(role),
        "variant": training.variant,
        "model": settings.model,
        "dataset": config.data.dataset,
        "seed": training.seed,
        "fold": fold.number,
        "split": split.test_name,
        "epoch_chosen_on": chosen_on(fitted.history, settings, split),
        "epochs": settings.epochs,
        "seconds": round(seconds, 1),
    }
    if fitted.epoch_mean is not None:
        write_epoch_mean(fold, training, fitted.epoch_mean, targets, record, sizes)
    folder.finish(
        model.state_dict(),
        description(fold, role, model).header(),
        fitted.history,
        predictions_table(table.ids[split.test], predicted, table.classes),
        {**record, **sizes, "kept_epoch": kept_epoch(fitted.history, settings), "figures": figures},
    )
    return figures


def write_epoch_mean(
    fold: FoldData,
    training: Training,
    mean: Tensor,
    targets: np.ndarray,
    record: dict,
    sizes: dict[str, int],
) -> None:
    """The mean of the predictions of the last epochs, as one more system: teacher@epochs."""
    settings = settings_of(fold.config, training.role, training.seed, fold.number)
    role, models = f"{training.role}@epochs", settings.epochs + 1 - settings.ensemble_start_epoch
    write_mean(
        fold,
        training_path(fold.config, role, training.variant, training.seed, fold.number),
        mean.numpy(),
        targets,
        {
            **record,
            "role": role,
            "model": f"mean of {models}",
            "epoch_chosen_on": "none",
            **{name: models * size for name, size in sizes.items()},
        },
    )


def chosen_on(history: pd.DataFrame, settings: RoleSettings, split: Split) -> str:
    """The clips that chose the kept epoch; the epochs that were averaged; or none."""
    start, every = settings.swa_start_epoch, settings.swa_every_epochs
    if start and len(history):
        averaged = f"mean of epochs {start} to {settings.epochs}"
        return f"{averaged}, one in {every}" if every > 1 else averaged
    return split.validation_name if history["score"].notna().any() else "none"


def kept_epoch(history: pd.DataFrame, settings: RoleSettings) -> int:
    """From 1: the first of the best, or the last where none was selected; 0 without epochs."""
    if settings.swa_start_epoch:
        return len(history)
    scores = history["score"].to_numpy(float)
    if np.isnan(scores).all():
        return len(history)
    return int(history["epoch"].iloc[int(np.nanargmax(scores))])


def description(fold: FoldData, role: Role, model: nn.Module) -> Description:
    """All that rebuilds the model and its front end, for the header of its weights."""
    config, features = fold.config, fold.features[role.features]
    return Description(
        model=getattr(config, role.features).model,
        options=model_options(config, role.features),
        input_shape=features.shape,
        task=fold.table.task,
        classes=fold.table.classes,
        clip_seconds=fold.experiment.clip_seconds,
        front_end=config.mel_of(role.features),
        mean=tuple(features.mean.tolist()),
        std=tuple(features.std.tolist()),
        precision=role.precision,
        class_map=getattr(model, "class_map", None),
    )
