"""One training: from the data of a fold, a role, losses and a seed to a finished folder."""

from __future__ import annotations

import time

import numpy as np
import torch

from config import UserError
from training.alignment import align, check_classifier
from training.builders import autocast, new_model
from training.device import compiler
from training.distributed import data_parallel, rank
from training.embeddings import on_embeddings
from training.fold import FoldData
from training.inputs import build_batches, build_replay, positive_weight
from training.logistic_regression import fit_classifier, linear_layer
from training.loop import fit
from training.plan import Training
from training.predict import gathered_outputs, predict, validator
from training.progress import Counter
from training.record import recorded_settings, write_training
from training.role import TEACHER
from training.role_settings import freeze_from_epoch, settings_of
from training.run_folder import TrainingFolder
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
    replay = build_replay(fold, seed) if training.uses_teacher else None
    compiled = compiler(config.run.compile, fold.device)
    teachers = build_teachers(fold, seed, variant, replay, compiled)
    inputs = (role.features, *(name for teacher in teachers for name in teacher.input_roles))
    model = new_model(fold, role, seed, variant)
    clip = fold.features[role.features][torch.as_tensor(split.train[:1])]
    if settings.align_epochs:
        check_classifier(model, clip, "align_epochs")
    trained, data = model, fold
    if settings.freezes_backbone and role.precision == "float32":
        check_classifier(model, clip, f"[{role.features}] freeze")
        if not fold.experiment.is_augmented(role.name):
            trained, data = on_embeddings(fold, role, model)
    if settings.head_fit == "logistic_regression":
        linear_layer(trained.get_submodule("classifier"))  # raises for another classifier
    losses = build_losses(
        variant, fold.table.task, settings, config, positive_weight(fold, settings)
    )
    fitted = fit(
        trained,
        Step(
            data_parallel(compiled(trained), losses.values()),
            role.features,
            losses,
            config.coefficients,
            tuple(teachers),
            tuple(teachers.values()),
        ),
        build_batches(
            *(data, role, seed, dict.fromkeys(inputs), replay, pair),
            labelled_only=not training.uses_teacher,
        ),
        settings,
        folder,
        seed=seed,
        device=fold.device,
        precision=autocast(config, role),
        validate=validator(data, role, lambda: read_teacher(fold, TEACHER, seed)),
        predict=lambda model: torch.from_numpy(predict(data, role, model, split.test)),
        freeze_from_epoch=freeze_from_epoch(config, role),
        title=title,
    )
    if settings.align_epochs or settings.head_fit == "logistic_regression":
        rows = fold.labelled(split.train)
        embeddings = gathered_outputs(data, role, trained, rows, "embedding")
        classifier = model.get_submodule("classifier")
        if settings.align_epochs:
            labels = torch.as_tensor(fold.labels(rows), device=fold.device)
            align(classifier, embeddings, labels, settings.align_epochs, seed)
        else:
            targets = fold.table.targets[rows]
            fit_classifier(classifier, embeddings, targets, fold.table.task, settings.head_c)
    predicted = predict(data, role, trained, split.test)
    if not np.isfinite(predicted).all():
        raise UserError(f"{training.title}: its outputs overflow and give no probabilities")
    seconds = time.perf_counter() - started
    print_score(
        fold, title, write_training(fold, training, folder, model, fitted, predicted, seconds)
    )


def print_score(fold: FoldData, title: str, figures: dict[str, float]) -> None:
    metric = fold.experiment.metric
    if rank() == 0:
        print(f"{title}: {metric} {figures[metric]:.4f} ({fold.split.test_name})", flush=True)
