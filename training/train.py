"""One training: from an experiment, a role, losses, a seed and a fold to a finished folder."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from config import Config, Role, UserError, flat_items, to_text
from data.augment.impulse_responses import read_responses
from data.features.mel_cache import sha256_of
from data.loading.batches import share
from losses.mix import names_of, uses_teacher
from metrics import METRICS
from models.cost import cost
from models.stored import Description
from training.alignment import align, check_classifier
from training.device import compiler
from training.distributed import rank, shared, whole, world
from training.ensembles import ensemble_settings, ensemble_teacher
from training.experiment import Experiment, model_options, precision_of, view_of
from training.loop import fit
from training.predict import probabilities, said
from training.run_folder import TrainingFolder, training_path
from training.steps import Step, build_losses
from training.systems import figures_of, predictions_table, write_mean

NOT_ASKED = ("data.root", "data.folds", "data.on_bad_audio", "distillation.variants")
NOT_ASKED += ("distillation.teacher_weights",)  # each teacher's own is
"""Settings that say where data lies or what else is trained: they change no training."""


class Training(NamedTuple):
    """Which one of a run's trainings."""

    role: str
    variant: str  # the losses, such as bce+kd
    seed: int
    fold: int  # 0: the data set has splits instead
    pair: tuple[int, ...] = ()  # the two classes of a specialist

    @property
    def taught(self) -> bool:
        return uses_teacher(self.variant)

    def folder(self, config: Config) -> Path:
        return training_path(config, self.role, self.variant, self.seed, self.fold)

    @property
    def title(self) -> str:
        fold = f" fold {self.fold}" if self.fold else ""
        return f"{self.role} {self.variant} seed {self.seed}{fold}"


def train(experiment: Experiment, training: Training, overwrite: bool = False) -> None:
    """Train, predict the reported clips, leave all in the run's folder; nothing if it is there.

    Raises UserError where the folder holds a training with other settings and not `overwrite`.
    """
    role, variant, seed, fold, pair = training
    experiment.enter(fold)
    config, table, split = experiment.config, experiment.table, experiment.split
    settings, view = experiment.settings(role, seed), view_of(role)
    folder = TrainingFolder(training.folder(config), all_settings(experiment, training))
    if overwrite:
        folder.remove()
    if folder.finished():
        return
    started = time.perf_counter()
    replay = experiment.replay(seed) if training.taught else None
    compiled = compiler(config.run.compile, experiment.device)
    teaching = experiment.teaching(variant)
    teachers = [
        experiment.teacher(one, seed, variant, replay, compiled)
        if one in config.teachers()
        else ensemble_teacher(experiment, one, seed)
        for one in teaching
    ]
    heard = dict.fromkeys((view, *(name for teacher in teachers for name in teacher.input_roles)))
    model = experiment.new_model(role, seed, variant)
    if settings.align_epochs:
        check_classifier(model, experiment.features[view][torch.as_tensor(split.train[:1])])
    losses = build_losses(variant, table.task, settings, config)
    fitted = fit(
        model,
        Step(
            shared(compiled(model), losses.values()),
            view,
            losses,
            config.coefficients,
            teachers,
            tuple(teaching.values()),
        ),
        experiment.batches(role, seed, heard, replay, pair),
        settings,
        folder,
        seed=seed,
        device=experiment.device,
        precision=experiment.autocast(role),
        validate=validator(experiment, role) if len(split.validation) else None,
        says=lambda model: torch.from_numpy(predict(experiment, role, model, split.test)),
        freeze_from_epoch=freeze_from_epoch(config, role),
        title=training.title,
    )
    if settings.align_epochs:
        align(
            model.classifier,
            gathered_outputs(experiment, role, model, split.train, "embedding"),
            torch.as_tensor(experiment.labels(split.train), device=experiment.device),
            settings.align_epochs,
            seed,
        )
    predicted = predict(experiment, role, model, split.test)
    if not np.isfinite(predicted).all():
        raise UserError(f"{training.title}: its numbers overflow, it says what is no probability")
    last_ones = f"mean of epochs {settings.swa_start_epoch} to {settings.epochs}"
    sizes = cost(model, experiment.features[view].shape)._asdict()
    record = {
        "role": role,
        "variant": variant,
        "model": settings.model,
        "dataset": config.data.dataset,
        "seed": seed,
        "fold": fold,
        "split": split.test_name,
        "epoch_chosen_on": last_ones if settings.swa_start_epoch else split.validation_name,
        "epochs": settings.epochs,
        "seconds": round(time.perf_counter() - started, 1),
    }
    if fitted.said is not None:
        several = f"{role}@epochs"
        models = settings.epochs + 1 - settings.ensemble_start_epoch
        write_mean(
            experiment,
            training_path(config, several, variant, seed, fold),
            fitted.said.numpy(),
            **record | {"role": several, "model": f"mean of {models}", "epoch_chosen_on": "none"},
            **{name: models * size for name, size in sizes.items()},
        )
    folder.finish(
        model.state_dict(),
        description(experiment, role).header(),
        fitted.history,
        predictions_table(table.ids[split.test], predicted, table.classes),
        {
            **record,
            **sizes,
            "kept_epoch": kept_epoch(fitted.history, settings),
            "figures": figures_of(experiment, predicted),
        },
    )


def kept_epoch(history: pd.DataFrame, settings: Role) -> int:
    """From 1: the first of the best, or the last where none was chosen; 0 where there is none."""
    if settings.swa_start_epoch:
        return len(history)
    scores = history["score"].dropna()
    return int(history["epoch"][scores.idxmax()]) if len(scores) else len(history)


def freeze_from_epoch(config: Config, role: str) -> int:
    """From 1: the first of FREEZE_EPOCHS; 0 where batch statistics are followed to the end."""
    own = config.quantisation
    held = own.freeze_epochs if precision_of(role) == "int8" else 0
    return own.epochs + 1 - held if held else 0


def predict(experiment: Experiment, role: str, model: nn.Module, rows: np.ndarray) -> np.ndarray:
    """Probabilities of these clips."""
    logits = gathered_outputs(experiment, role, model, rows, "logits")
    return probabilities(logits, experiment.table.task)


def gathered_outputs(
    experiment: Experiment, role: str, model: nn.Module, rows: np.ndarray, name: str
) -> torch.Tensor:
    """Logits or embeddings of these clips at every process, each of which computes its share."""
    view, precision = experiment.features[view_of(role)], experiment.autocast(role)
    mine = rows[share(len(rows), rank(), world())]
    return whole(said(model, view, mine, name, precision), len(rows))


def validator(experiment: Experiment, role: str) -> Callable[[nn.Module], float]:
    """The score that chooses the epoch, higher is better.

    Held-out training clips may have soft targets (the mean of volunteers): half of them decides.
    """
    metric, rows = METRICS[experiment.metric], experiment.split.validation
    truth, classes = experiment.table.targets[rows] >= 0.5, experiment.table.classes

    def score(model: nn.Module) -> float:
        value = metric.function(predict(experiment, role, model, rows), truth, classes)
        if math.isnan(value):
            raise UserError(
                f"{experiment.metric} is undefined on the {len(rows)} validation clips "
                f"({experiment.split.validation_name}); set [data] HOLD_OUT higher, or 0 for the "
                "last epoch"
            )
        return value if metric.higher_is_better else -value

    return score


def all_settings(experiment: Experiment, training: Training) -> dict[str, str]:
    """All that one training depends on, flat, so that other settings never mix with it."""
    config, role = experiment.config, training.role
    own = experiment.settings(role, training.seed)
    sections = {
        "data": config.data,
        f"mel.{role}": config.mel_of(role),
        role: own,
        "augment": config.augment_of(role),
    }
    if training.taught:
        sections |= {"distillation": config.distillation, "mel.teacher": config.teacher_mel}
    settings = {
        f"{name}.{key}": to_text(value)
        for name, section in sections.items()
        for key, value in flat_items(section)
        if f"{name}.{key}" not in NOT_ASKED
    }
    for loss in names_of(training.variant):
        settings[f"coefficients.{loss}"] = to_text(config.coefficients.get(loss, 1.0))
    teaching = experiment.teaching(training.variant)
    for one in teaching:
        if one not in config.teachers():
            settings |= ensemble_settings(experiment, one, training.seed)
            continue
        settings[f"{one} weights"] = sha256_of(experiment.teacher_weights(training.seed, one))
        settings[f"{one} weight"] = to_text(teaching[one])
    if own.init:
        path = experiment.init_weights(own.init, training.seed, training.variant)
        if path.is_file():
            settings["init weights"] = sha256_of(path)
    if folder := config.augment_of(role).impulse_responses:
        settings["impulse responses"] = read_responses(Path(folder)).fingerprint()
    if training.pair:
        settings["pair"] = ", ".join(experiment.table.classes[k] for k in training.pair)
    return settings | {
        "variant": training.variant,
        "run.precision": config.run.precision,
        "run.compile": config.run.compile,
        "clips": sha256_of(experiment.features[view_of(role)].cache.folder / "clips.csv"),
    }


def description(experiment: Experiment, role: str) -> Description:
    """What builds the model again and hears as it does, for the header of its weights."""
    config, own = experiment.config, view_of(role)
    view = experiment.features[own]
    return Description(
        model=getattr(config, own).model,
        options=model_options(config, own),
        input_shape=view.shape,
        task=experiment.table.task,
        classes=experiment.table.classes,
        clip_seconds=experiment.clip_seconds,
        front_end=config.mel_of(role),
        mean=tuple(view.mean.tolist()),
        std=tuple(view.std.tolist()),
        precision=precision_of(role),
    )
