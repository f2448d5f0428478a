"""Specialists: from the pairs of classes that a teacher confuses to a teacher for each.

Source: Jung et al., DCASE 2019 Task 1a, technical report and workshop paper.
Differs: the confusions are counted on clips that choose the epoch, never on those that are
reported, and from what the teacher says itself (there: a support vector machine on its embeddings).
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from config import ConfigError, UserError
from metrics.scenes import confusion_matrix
from training.distributed import rank
from training.experiment import Experiment
from training.run_folder import training_path, write_once
from training.train import Training, predict, train


class Pair(NamedTuple):
    """Two classes by their places, and how many clips of either were taken for the other."""

    first: int
    second: int
    confused: int


def train_specialists(
    experiment: Experiment, losses: str, seed: int, fold: int, overwrite: bool
) -> None:
    """One for each of the PAIRS that the finished teacher of this seed and fold confuses most."""
    if not experiment.config.specialists.pairs:
        return
    for number, pair in enumerate(find_pairs(experiment, seed), 1):
        training = Training(f"specialist_{number}", losses, seed, fold, tuple(pair[:2]))
        train(experiment, training, overwrite)


def find_pairs(experiment: Experiment, seed: int) -> list[Pair]:
    """Counted on the clips that choose the epoch; shown, and kept beside the teacher's weights.

    Raises ConfigError where there are no such clips, UserError where a class has none of them.
    """
    wanted, table = experiment.config.specialists.pairs, experiment.table
    check(experiment, wanted)
    rows, model = experiment.split.validation, experiment.read_teacher("teacher", seed)
    said = predict(experiment, "teacher", model, rows)
    counts = confusion_matrix(said, table.targets[rows])
    if not (there := counts.sum(axis=1)).all():
        lost = table.classes[int(there.argmin())]
        raise UserError(
            f"none of the {len(rows)} validation clips ({experiment.split.validation_name}) is of "
            f"{lost!r}, so nothing is known of its confusions; set [data] HOLD_OUT higher"
        )
    pairs = most_confused(counts, wanted)
    names = [(table.classes[pair.first], table.classes[pair.second]) for pair in pairs]
    folder = training_path(experiment.config, "teacher", "", seed, experiment.fold)
    matrix = pd.DataFrame(counts, table.classes, table.classes).rename_axis("heard")
    write_once(folder / "confusion.csv", matrix.to_csv())
    listed = [(*pair, p.confused) for pair, p in zip(names, pairs, strict=True)]
    shown = pd.DataFrame(listed, columns=["first", "second", "confused"])
    write_once(folder / "pairs.csv", shown.to_csv(index=False))
    if rank() == 0:
        said = "; ".join(f"{first} / {second} ({count})" for first, second, count in listed)
        print(f"most confused of {len(rows)} {experiment.split.validation_name}: {said}")
    return pairs


def check(experiment: Experiment, wanted: int) -> None:
    where, classes = "[specialists] pairs", len(experiment.table.classes)
    if experiment.table.task != "single_label":
        raise ConfigError(where, f"found {wanted}, but the data set is multi-label")
    if classes < 3:
        raise ConfigError(where, f"found {wanted}, but {classes} classes leave none beside a pair")
    if wanted > (most := classes * (classes - 1) // 2):
        raise ConfigError(where, f"found {wanted}, but {classes} classes have {most} pairs")
    if not len(experiment.split.validation):
        raise ConfigError(
            where, f"found {wanted}, which wants clips set apart for choosing them: [data] HOLD_OUT"
        )


def most_confused(counts: np.ndarray, wanted: int) -> list[Pair]:
    """Confusions in both directions added up; of equals the pair that comes first.

    Shapes: (K, K) -> `wanted` pairs, the most confused first.
    """
    both = counts + counts.T
    pairs = [Pair(a, b, int(both[a, b])) for a, b in combinations(range(len(counts)), 2)]
    return sorted(pairs, key=lambda pair: -pair.confused)[:wanted]
