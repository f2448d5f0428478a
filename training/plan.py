"""The trainings of a run, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from config import Config
from losses.mix import uses_teacher
from training.role import STUDENT, TEACHER, Role
from training.run_folder import METRICS, training_path


class Training(NamedTuple):
    """One of a run's trainings."""

    role: Role
    variant: str  # the losses, such as bce+kd
    seed: int
    fold: int  # 0: the data set has splits instead
    pair: tuple[int, ...] = ()  # the two classes of a specialist

    @property
    def uses_teacher(self) -> bool:
        return uses_teacher(self.variant)

    def folder(self, config: Config) -> Path:
        return training_path(config, self.role, self.variant, self.seed, self.fold)

    def is_finished(self, config: Config) -> bool:
        return (self.folder(config) / METRICS).exists()

    @property
    def title(self) -> str:
        fold = f" fold {self.fold}" if self.fold else ""
        return f"{self.role} {self.variant} seed {self.seed}{fold}"


def teacher_trainings(config: Config, losses: str, seed: int, fold: int) -> list[Training]:
    """The teacher, then its specialists, whose pairs of classes the finished teacher determines."""
    specialists = [Role(f"specialist_{n + 1}") for n in range(config.specialists.pairs)]
    return [Training(role, losses, seed, fold) for role in (TEACHER, *specialists)]


def student_trainings(config: Config, seed: int, fold: int) -> list[Training]:
    """A student of each variant, each followed by itself in fewer bits."""
    fewer_bits = [Role("student", precision) for precision in config.quantisation.precisions]
    return [
        Training(role, variant, seed, fold)
        for variant in config.distillation.variants
        for role in (STUDENT, *fewer_bits)
    ]


def run_trainings(config: Config, losses: str, folds: Sequence[int], *roles: str) -> list[Training]:
    """The trainings of "teacher" (with these losses), of "student", or of both, in their order."""
    trainings = []
    for role in roles:
        for fold in folds:
            for seed in config.run.seeds:
                trainings += (
                    teacher_trainings(config, losses, seed, fold)
                    if role == "teacher"
                    else student_trainings(config, seed, fold)
                )
    return trainings
