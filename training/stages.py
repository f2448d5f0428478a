"""The two trainings of a run, over its folds and seeds: teachers, then students."""

from __future__ import annotations

import torch

from config import Budget, Config, ConfigError, UserError
from models.cost import cost
from models.precision import to_precision
from training.budget import check_budget
from training.ensembles import combine
from training.experiment import Experiment
from training.run_folder import write_config
from training.specialists import train_specialists
from training.train import Training, train


def train_teachers(config: Config, overwrite: bool = False) -> Experiment:
    """The teacher of each fold and seed, its specialists, and the ensembles of these."""
    experiment = Experiment(config, "teacher")
    write_config(config)
    losses = experiment.teacher_losses
    for fold in experiment.folds:
        for seed in config.run.seeds:
            train(experiment, Training("teacher", losses, seed, fold), overwrite)
            train_specialists(experiment, losses, seed, fold, overwrite)
            combine(experiment, seed, fold)
    return experiment


def train_students(config: Config, overwrite: bool = False) -> Experiment:
    """A student for each variant, fold and seed, what it is in fewer bits, and the ensembles that
    hold students.

    Raises ConfigError for a student over [budget], and for one that has no such bits, before
    anything is trained.
    """
    experiment = Experiment(config, "teacher", "student")
    if config.budget != Budget():
        student = experiment.build_model("student")
        check_budget(config.budget, cost(student, experiment.features["student"].shape))
    check_precisions(experiment)
    write_config(config)
    for fold in experiment.folds:
        for seed in config.run.seeds:
            for variant in config.distillation.variants:
                train(experiment, Training("student", variant, seed, fold), overwrite)
                for precision in config.quantisation.precisions:
                    lower = Training(f"student@{precision}", variant, seed, fold)
                    train(experiment, lower, overwrite)
            combine(experiment, seed, fold, students_too=True)
    return experiment


def check_precisions(experiment: Experiment) -> None:
    """Raises ConfigError for a student that cannot be had in one of the PRECISIONS."""
    clip = torch.zeros(1, *experiment.features["student"].shape, device=experiment.device)
    for precision in experiment.config.quantisation.precisions:
        try:
            to_precision(experiment.build_model("student"), precision, [clip])
        except UserError as error:
            raise ConfigError("[quantisation] precisions", f"{precision}: {error}") from None
