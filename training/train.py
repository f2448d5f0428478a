"""One training: from the data of a fold, a role, losses and a seed to a finished folder."""

from __future__ import annotations

import time

import numpy as np
import torch

from config import UserError
from training.builders import autocast, new_model
from training.device import compiler
from training.distributed import data_parallel, rank
from training.fold import FoldData
from training.heads import fit_head, trained_part
from training.inputs import build_batches, build_replay, positive_weight
from training.loggers.chosen import Loggers
from training.loop import fit
from training.plan import Training
from training.predict import predict, validator
from training.progress import Counter
from training.record import logged_settings, recorded_settings, write_training
from training.role import TEACHER
from training.role_settings import freeze_from_epoch, settings_of
from training.run_folder import RUNS, TrainingFolder
from training.steps import Step, build_losses
from training.teachers import build_teachers, read_teacher


def train(fold: FoldData, training: Training, overwrite: bool, counter: Counter) -> None:
    """Train, predict the test clips, and write the files of the training; a finished one stays.

    Raises UserError where the folder holds a training with other settings and not `overwrite`.
    """
    role, variant, seed, number, pair = training
    config, split, title = fold.config, fold.split, counter.title(training)
    folder = TrainingFolder(training.folder(config), recorded_settings(fold, training))
    if overwrite:
        folder.remove()
    if finished := folder.finished():
        print_score(fold, f"{title} (already finished)", finished["figures"])
        return
    started, settings = time.perf_counter(), settings_of(config, role, seed, number)
    labelled_only = not training.uses_teacher
    is_student = role.name == "student"
    replay = build_replay(fold, seed, labelled_only=labelled_only) if is_student else None
    compiled = compiler(config.run.compile, fold.device)
    teachers = build_teachers(fold, seed, variant, replay, compiled)
    inputs = (role.features, *(name for teacher in teachers for name in teacher.input_roles))
    model = new_model(fold, role, seed, variant)
    trained, data = trained_part(fold, role, model, settings, replay)
    losses = build_losses(
        variant, fold.table.task, settings, config, positive_weight(fold, settings)
    )
    batches = build_batches(
        data, role, seed, dict.fromkeys(inputs), replay, pair, labelled_only=labelled_only
    )
    step = Step(
        data_parallel(compiled(trained), losses.values()),
        role.features,
        losses,
        config.coefficients,
        tuple(teachers),
        tuple(teachers.values()),
    )
    if settings.epochs:
        step.build(trained, batches, split.train, seed)
    name = folder.path.relative_to(RUNS).as_posix()
    loggers = Loggers(config.run.logger, folder.path, name, logged_settings(fold, training))
    fitted = fit(
        trained,
        step,
        batches,
        settings,
        folder,
        loggers,
        seed=seed,
        device=fold.device,
        precision=autocast(config, role),
        validate=validator(data, role, lambda: read_teacher(fold, TEACHER, seed)),
        predict=lambda model: torch.from_numpy(predict(data, role, model, split.test)),
        freeze_from_epoch=freeze_from_epoch(config, role),
        title=title,
    )
    fit_head(data, role, trained, settings, seed)
    predicted = predict(data, role, trained, split.test)
    if not np.isfinite(predicted).all():
        raise UserError(f"{training.title}: its outputs overflow and give no probabilities")
    seconds = fitted.earlier_seconds + time.perf_counter() - started
    figures = write_training(fold, training, folder, model, fitted, predicted, seconds)
    loggers.close(figures)
    print_score(fold, title, figures)


def print_score(fold: FoldData, title: str, figures: dict[str, float]) -> None:
    metric = fold.experiment.metric
    if rank() == 0:
        print(f"{title}: {metric} {figures[metric]:.4f} ({fold.split.test_name})", flush=True)
