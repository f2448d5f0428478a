"""The settings of each training: those of its section, or of the model that it starts from."""

from __future__ import annotations

import dataclasses

import pandas as pd

from config import Config, RoleSettings
from training.role import TEACHER, Role
from training.run_folder import HISTORY, teacher_weights_file

INIT_TEACHER = "teacher"  # INIT: the finished teacher of the same seed and fold
INIT_STUDENT = "the finished student"  # INIT of the same student in fewer bits


def settings_of(config: Config, role: Role, seed: int, fold: int) -> RoleSettings:
    """The settings of one training. A specialist continues the training of the teacher of this seed
    and fold, a student in fewer bits that of the finished student.

    Raises UserError for a specialist whose teacher is not finished.
    """
    if role.precision != "float32":
        return dataclasses.replace(
            continued(config.student, epochs_of(config, role), INIT_STUDENT),
            learning_rate=config.quantisation.learning_rate,
        )
    if not role.is_specialist:
        return getattr(config, role.name)
    specialists, rate = config.specialists, config.specialists.learning_rate
    if rate is None:
        history = teacher_weights_file(config, TEACHER, seed, fold).with_name(HISTORY)
        rate = float(pd.read_csv(history)["learning_rate"].iloc[-1])
    return dataclasses.replace(
        continued(config.teacher, epochs_of(config, role), INIT_TEACHER),
        batch_size=specialists.batch_size,
        learning_rate=rate,
    )


def continued(settings: RoleSettings, epochs: int, init: str) -> RoleSettings:
    """Without what only a first training has, not one that continues it."""
    return dataclasses.replace(
        settings,
        epochs=epochs,
        init=init,
        warm_up_epochs=0,
        warm_up_steps=0,
        ramp_down_start_epoch=0,
        ramp_down_epochs=0,
        swa_start_epoch=0,
        swa_every_epochs=1,
        ensemble_start_epoch=0,
        align_epochs=0,
        head_fit="gradient",
        head_c=RoleSettings().head_c,
    )


def epochs_of(config: Config, role: Role) -> int:
    if role.precision != "float32":
        return config.quantisation.epochs if role.precision == "int8" else 0
    if role.is_specialist:
        return config.specialists.epochs
    return getattr(config, role.name).epochs


def freeze_from_epoch(config: Config, role: Role) -> int:
    """From 1: the first of the last FREEZE_EPOCHS of int8, in which batch statistics and ranges
    stay fixed; 0: none.
    """
    quantisation = config.quantisation
    epochs = quantisation.freeze_epochs if role.precision == "int8" else 0
    return quantisation.epochs + 1 - epochs if epochs else 0
