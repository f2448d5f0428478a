"""Finished students of a run that a command does not train, but that its table shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from config import UserError
from training.fold import FoldData
from training.plan import Training
from training.record import recorded_settings
from training.role import STUDENT
from training.run_folder import METRICS, RUNS, differences, read_training


def outdated(folds: Sequence[FoldData]) -> Iterator[str]:
    """A line for each variant whose students have other settings, inputs or teachers than now."""
    config = folds[0].config
    folder = RUNS / config.run.name / str(STUDENT)
    others = {path.name for path in folder.glob("*")} - set(config.distillation.variants)
    for variant in sorted(others):
        trainings = [
            (fold, Training(STUDENT, variant, seed, fold.number))
            for fold in folds
            for seed in config.run.seeds
        ]
        changes = (changes_since(fold, training) for fold, training in trainings)
        if changed := next(filter(None, changes), ""):
            yield (
                f"{folder / variant} is in the table, but not comparable ({changed}): "
                f"remove it, or train it again (--set distillation.variants={variant} --overwrite)"
            )


def changes_since(fold: FoldData, training: Training) -> str:
    """What has changed since a training was finished; empty where there is none."""
    folder = training.folder(fold.config)
    if not (folder / METRICS).exists():
        return ""
    try:
        return differences(read_training(folder)["settings"], recorded_settings(fold, training))
    except UserError as error:
        return str(error)
