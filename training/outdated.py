"""Finished students of a run that a command does not train, but that its table shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import starmap
from pathlib import Path

from config import UserError
from training.fold import FoldData
from training.plan import Training
from training.record import recorded_settings
from training.role import STUDENT
from training.run_folder import RUNS, differences, read_training


def outdated(folds: Sequence[FoldData]) -> Iterator[str]:
    """A line for each variant with students of other settings, inputs or teachers than now."""
    config = folds[0].config
    folder = RUNS / config.run.name / str(STUDENT)
    for variant in sorted(path.name for path in folder.glob("*")):
        trained = config.run.seeds if variant in config.distillation.variants else ()
        changed = {}
        for seed in sorted(seeds_of(folder / variant) - set(trained)):
            trainings = [(fold, Training(STUDENT, variant, seed, fold.number)) for fold in folds]
            if found := next(filter(None, starmap(changes_since, trainings)), ""):
                changed[seed] = found
        if changed:
            first, seeds = next(iter(changed.values())), ",".join(map(str, changed))
            yield (
                f"{folder / variant} of seed {seeds} is in the table, but not comparable "
                f"({first}): remove it, or train it again (--set distillation.variants={variant} "
                f"--set run.seeds={seeds} --overwrite)"
            )


def seeds_of(folder: Path) -> set[int]:
    names = (path.name.removeprefix("seed_") for path in folder.glob("seed_*"))
    return {int(name) for name in names if name.isdecimal()}


def changes_since(fold: FoldData, training: Training) -> str:
    """What has changed since a training was finished; empty where there is none."""
    if not training.is_finished(fold.config):
        return ""
    try:
        trained = read_training(training.folder(fold.config))["settings"]
        return differences(trained, recorded_settings(fold, training))
    except UserError as error:
        return str(error)
