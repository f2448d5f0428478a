"""The two commands of a run, over its folds and seeds: teachers, then students."""

from __future__ import annotations

import torch

from config import Budget, Config, ConfigError, UserError
from models.cost import cost
from models.precision import to_precision
from training.budget import check_budget
from training.builders import build_model
from training.ensembles import combine
from training.experiment import Experiment
from training.fold import open_fold
from training.missing import check_teachers
from training.plan import run_trainings, student_trainings, teacher_trainings
from training.preparation import check_splits
from training.progress import Counter
from training.run_folder import write_config
from training.specialists import find_pairs
from training.train import train
from training.validation import check_labels


def train_teachers(
    config: Config, overwrite: bool = False, counter: Counter | None = None
) -> Experiment:
    """The teacher of each fold and seed, its specialists, and the ensembles of these.

    `counter` numbers the trainings, where this command has more than those of `config`.
    """
    experiment = Experiment.open(config, "teacher")
    config = experiment.config
    check_labels(config, experiment.table, "teacher")
    check_splits(config, experiment.dataset, experiment.table)
    losses, folds = experiment.teacher_losses, experiment.folds
    counter = counter or Counter(len(run_trainings(config, losses, folds, "teacher")))
    write_config(config)
    for number in folds:
        fold = open_fold(experiment, number)
        for seed in config.run.seeds:
            teacher, *specialists = teacher_trainings(config, losses, seed, number)
            train(fold, teacher, overwrite, counter)
            pairs = find_pairs(fold, seed) if specialists else []
            for specialist, pair in zip(specialists, pairs, strict=True):
                train(fold, specialist._replace(pair=tuple(pair[:2])), overwrite, counter)
            combine(fold, seed)
    return experiment


def train_students(
    config: Config, overwrite: bool = False, counter: Counter | None = None
) -> Experiment:
    """A student of each variant, fold and seed, the same in fewer bits, and the ensembles that
    contain students.

    Raises ConfigError for a student over [budget], and for one that cannot be quantised, UserError
    for a teacher that is not there, before anything is trained.
    """
    experiment = Experiment.open(config, "teacher", "student")
    config = experiment.config
    check_labels(config, experiment.table, "student")
    check_splits(config, experiment.dataset, experiment.table)
    trainings = run_trainings(config, "", experiment.folds, "student")
    counter = counter or Counter(len(trainings))
    if config.budget != Budget():
        student = build_model(experiment, "student")
        check_budget(config.budget, cost(student, experiment.features["student"].shape))
    check_precisions(experiment)
    check_teachers(config, experiment.dataset, trainings)
    write_config(config)
    for number in experiment.folds:
        fold = open_fold(experiment, number)
        for seed in config.run.seeds:
            for training in student_trainings(config, seed, number):
                train(fold, training, overwrite, counter)
            combine(fold, seed, students_too=True)
    return experiment


def check_precisions(experiment: Experiment) -> None:
    """Raises ConfigError for a student that does not exist in one of the PRECISIONS."""
    clip = torch.zeros(1, *experiment.features["student"].shape, device=experiment.device)
    for precision in experiment.config.quantisation.precisions:
        try:
            to_precision(build_model(experiment, "student"), precision, [clip])
        except UserError as error:
            raise ConfigError("[quantisation] precisions", f"{precision}: {error}") from None
