"""The pairs of classes that a teacher confuses most; a specialist is trained for each.

Source: Jung et al., DCASE 2019 Task 1a, technical report and workshop paper.
Differs: the confusions are counted on validation clips, never on test clips, and for the teacher's
own predictions (there: those of a support vector machine on its embeddings).
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from config import ConfigError, UserError
from metrics.inputs import decisions
from metrics.scenes import confusion_matrix
from training.distributed import rank
from training.fold import FoldData
from training.predict import predict
from training.role import TEACHER
from training.run_folder import training_path, write_once
from training.teachers import read_teacher


class Pair(NamedTuple):
    """Two classes by their indices, and how many clips of either were predicted as the other."""

    first: int
    second: int
    confused: int


def find_pairs(fold: FoldData, seed: int) -> list[Pair]:
    """The PAIRS that the finished teacher of this seed and fold confuses most on validation clips.

    They are printed, and written next to the teacher's weights. Raises ConfigError where there are
    no validation clips, UserError where a class has none.
    """
    number, table, split = fold.config.specialists.pairs, fold.table, fold.split
    check_pairs(fold, number)
    model = read_teacher(fold, TEACHER, seed)
    predicted = predict(fold, TEACHER, model, split.validation)
    counts = confusion_matrix(predicted, decisions(table.targets[split.validation], table.task))
    if not (clips := counts.sum(axis=1)).all():
        missing = table.classes[int(clips.argmin())]
        raise UserError(
            f"none of the {len(split.validation)} validation clips ({split.validation_name}) is of "
            f"{missing!r}, so its confusions are unknown; set [data] HOLD_OUT higher"
        )
    pairs = most_confused(counts, number)
    names = [(table.classes[pair.first], table.classes[pair.second]) for pair in pairs]
    folder = training_path(fold.config, TEACHER, "", seed, fold.number)
    matrix = pd.DataFrame(counts, table.classes, table.classes).rename_axis("label")
    write_once(folder / "confusion.csv", matrix.to_csv())
    listed = [(*pair, p.confused) for pair, p in zip(names, pairs, strict=True)]
    listing = pd.DataFrame(listed, columns=["first", "second", "confused"])
    write_once(folder / "pairs.csv", listing.to_csv(index=False))
    if rank() == 0:
        text = "; ".join(f"{first} / {second} ({count})" for first, second, count in listed)
        print(f"most confused of {len(split.validation)} {split.validation_name}: {text}")
    return pairs


def check_pairs(fold: FoldData, number: int) -> None:
    """Raises ConfigError where there cannot be so many pairs."""
    where, classes = "[specialists] pairs", len(fold.table.classes)
    if fold.table.task != "single_label":
        raise ConfigError(where, f"found {number}, but the data set is multi-label")
    if classes < 3:
        raise ConfigError(where, f"found {number}, but {classes} classes leave none outside a pair")
    if number > (most := classes * (classes - 1) // 2):
        raise ConfigError(where, f"found {number}, but {classes} classes have {most} pairs")
    if not len(fold.split.validation):
        raise ConfigError(
            where, f"found {number}, which requires validation clips: set [data] HOLD_OUT above 0"
        )


def most_confused(counts: np.ndarray, number: int) -> list[Pair]:
    """By the sum of the confusions in both directions; of ties the first pair.

    Shapes: (K, K) -> `number` pairs, the most confused first.
    """
    both = counts + counts.T
    pairs = [Pair(a, b, int(both[a, b])) for a, b in combinations(range(len(counts)), 2)]
    return sorted(pairs, key=lambda pair: -pair.confused)[:number]
