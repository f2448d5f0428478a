"""The two commands of a run, over its folds and seeds: teachers, then students."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

import torch

from config import Budget, Config, ConfigError, UserError
from data.lock import locked
from models.cost import cost
from models.precision import to_precision
from training.budget import check_budget
from training.builders import build_model
from training.checks import check_labels, teacher_weights
from training.distributed import rank
from training.ensembles import combine, ensembles, has_students
from training.experiment import Experiment
from training.fold import FoldData
from training.loggers.chosen import check_installed
from training.missing import check_teachers
from training.outdated import outdated
from training.plan import Training, run_trainings, student_trainings, teacher_trainings
from training.preparation import open_folds
from training.progress import Counter
from training.record import recorded_settings
from training.role import STUDENT, TEACHER
from training.run_folder import RUNS, TrainingFolder, write_config
from training.specialists import find_pairs
from training.train import train


def train_teachers(
    config: Config, overwrite: bool = False, counter: Counter | None = None
) -> Experiment:
    """The teacher of each fold and seed, its specialists, and the ensembles of these.

    `counter` numbers the trainings, where this command has more than those of `config`. Raises
    ConfigError where the teachers are those of another run.
    """
    if shared := config.run.teacher_run:
        found = f"found {shared!r}, whose teachers are used: train them in that run, as [run] NAME"
        raise ConfigError("[run] teacher_run", found)
    check_installed(config.run.logger)
    experiment = Experiment.open(config, "teacher")
    config = experiment.config
    check_labels(config, experiment.table, "teacher")
    ensembles(config)  # raises for two names of one member
    losses, folds = experiment.teacher_losses, open_folds(experiment, "teacher")
    counter = counter or Counter(len(run_trainings(config, losses, experiment.folds, "teacher")))
    with locked_run(config):
        trainings = partial(teacher_trainings, config, losses)
        check_trainings(folds, trainings, overwrite)
        write_config(config)
        for fold in folds:
            for seed in config.run.seeds:
                teacher, *specialists = teacher_trainings(config, losses, seed, fold.number)
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
    check_installed(config.run.logger)
    experiment = Experiment.open(config, "teacher", "student")
    config = experiment.config
    check_labels(config, experiment.table, "student")
    ensembles(config)  # raises for two names of one member
    folds = open_folds(experiment, "student")
    trainings = run_trainings(config, "", experiment.folds, "student")
    counter = counter or Counter(len(trainings))
    if config.budget != Budget():
        student = build_model(experiment, "student")
        check_budget(config.budget, cost(student, experiment.features["student"].shape))
    check_precisions(experiment)
    check_teachers(config, experiment.dataset, trainings)
    with locked_run(config):
        check_trainings(folds, partial(student_trainings, config), overwrite)
        write_config(config)
        for fold in folds:
            for seed in config.run.seeds:
                for training in student_trainings(config, seed, fold.number):
                    train(fold, training, overwrite, counter)
                combine(fold, seed, students_too=True)
    if rank() == 0:
        for line in outdated(folds):
            print(f"warning: {line}", file=sys.stderr)
    return experiment


@contextmanager
def locked_run(config: Config) -> Iterator[None]:
    """Nobody else writes into the folder of the run. Raises UserError that names who does."""
    with locked(RUNS / config.run.name) if rank() == 0 else nullcontext():
        yield


def check_trainings(
    folds: Sequence[FoldData],
    trainings: Callable[[int, int], Sequence[Training]],
    overwrite: bool,
) -> None:
    """Raises UserError where one of the trainings cannot be used or resumed, before any starts: its
    settings or inputs are others now, one of its files is damaged, or its teacher is missing or of
    other settings. With `overwrite` nothing of the training itself is checked.

    `trainings` are those of a seed and a fold. Those that depend on others of them are checked when
    their turn comes.
    """
    for fold in folds:
        for seed in fold.config.run.seeds:
            for training in trainings(seed, fold.number):
                if depends_on_others(fold, training):
                    continue
                settings = recorded_settings(fold, training)
                if not overwrite:
                    TrainingFolder(training.folder(fold.config), settings).check()


def depends_on_others(fold: FoldData, training: Training) -> bool:
    """Whether it is a specialist, a student in fewer bits, or distilled from students."""
    if training.role not in (TEACHER, STUDENT):
        return True
    members = ensembles(fold.config)
    teachers = teacher_weights(fold.config, fold.experiment.dataset, training.variant)
    return any(has_students(fold.config, members.get(name, ())) for name in teachers)


def check_precisions(experiment: Experiment) -> None:
    """Raises ConfigError for a student that does not exist in one of the PRECISIONS."""
    clip = torch.zeros(1, *experiment.features["student"].shape, device=experiment.device)
    for precision in experiment.config.quantisation.precisions:
        try:
            to_precision(build_model(experiment, "student"), precision, [clip])
        except UserError as error:
            raise ConfigError("[quantisation] precisions", f"{precision}: {error}") from None
