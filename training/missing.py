"""What the students of a run are distilled from and start from, looked for before training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from config import Config, UserError
from config.pretrained import PRETRAINED
from data.tables.clips import Dataset
from models.pretrained import IMAGENET
from training.builders import init_weights
from training.checks import teacher_weights
from training.ensembles import sources
from training.logits.table import FILE
from training.plan import Training
from training.role import Role
from training.run_folder import RUNS, WEIGHTS, teacher_weights_file


def check_teachers(config: Config, dataset: Dataset, trainings: Sequence[Training]) -> None:
    """Raises UserError for teachers that are not there."""
    missing = list(dict.fromkeys(missing_teachers(config, dataset, trainings)))
    if missing:
        more = f"; and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(f"{missing[0]}{more}")


def missing_teachers(
    config: Config, dataset: Dataset, trainings: Sequence[Training]
) -> Iterator[str]:
    """The unfinished teachers and members of ensembles that students are distilled from."""
    init = config.student.init
    folders: set[Path] = set()
    for training in trainings:
        seed, fold = training.seed, training.fold
        try:
            if init and init != IMAGENET and init not in PRETRAINED:
                file = init_weights(config, init, seed, fold)
                if file and not file.is_file():
                    yield f"[student] init {file}: no such file of weights"
            for name in teacher_weights(config, dataset, training.variant):
                if name in config.teachers():
                    teacher_weights_file(config, Role(name), seed, fold)
                    continue
                for path in sources(config, name, seed, fold):
                    file = path if path.suffix == FILE else path / WEIGHTS
                    if not file.is_file() and path not in folders:
                        yield f"{file}, of the ensemble {name}"
        except UserError as error:
            shared = config.run.teacher_run
            gone = shared and not (RUNS / shared).is_dir()
            yield f"[run] teacher_run: {RUNS / shared} does not exist" if gone else str(error)
        folders.add(training.folder(config))  # trained before the next one
