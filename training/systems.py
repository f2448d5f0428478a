"""Figures and files of a system, whether it was trained or is the mean of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from config import UserError
from data.tables.clips import ID_COLUMN, MOST_GROUPS, ClipTable
from metrics import classwise, evaluate, scenes
from metrics.inputs import decisions
from training.class_order import difference
from training.fold import FoldData
from training.logits.table import named
from training.role import TEACHER
from training.run_folder import PREDICTIONS, teacher_weights_file, write_finished


def evaluation_targets(fold: FoldData, seed: int) -> np.ndarray:
    """What the test clips are evaluated with: their labels, or, where they have none, the decisions
    of the finished teacher of this seed. Shapes: -> (N, K).
    """
    table, rows = fold.table, fold.split.test
    if table.labelled[rows].all():
        return table.targets[rows]
    weights = teacher_weights_file(fold.config, TEACHER, seed, fold.number)
    path = weights.with_name(PREDICTIONS)
    return decisions(read_predictions(path, table.ids[rows], table.classes), table.task)


def figures_of(fold: FoldData, predicted: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Every metric on the test clips, the headline metric of each class and, for scenes,
    `figures_by_group`.

    Shapes: predicted (N, K) probabilities, targets (N, K), see `evaluation_targets`.
    """
    table, rows, metric = fold.table, fold.split.test, fold.experiment.metric
    evaluated = predicted, targets, table.classes, table.task
    by_class = classwise(*evaluated, metric)
    figures = evaluate(*evaluated) | {f"{metric} {name}": v for name, v in by_class.items()}
    if table.task == "single_label":
        figures |= figures_by_group(table, rows, predicted, targets)
    return figures


def figures_by_group(
    table: ClipTable, rows: np.ndarray, predicted: np.ndarray, targets: np.ndarray
) -> dict[str, float]:
    """`class bus log_loss`, `device a accuracy`, `device_group seen clips` and so on: the
    figures of `scenes.by_group` for each class and each value of an extra that has few values.
    """
    groupings = {kind: values[rows] for kind, values in table.groupings(rows).items()}
    if len(table.classes) <= MOST_GROUPS:
        groupings = {"class": np.array(table.classes)[targets.argmax(axis=1)]} | groupings
    return {
        f"{kind} {group} {name}": value
        for kind, values in groupings.items()
        for group, figures in scenes.by_group(predicted, targets, values).items()
        for name, value in figures.items()
    }


def predictions_table(
    ids: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """The official submission format of DCASE urban sound tagging: audio_filename and the tags."""
    table = pd.DataFrame(probabilities, columns=list(classes))
    table.insert(0, ID_COLUMN, ids)
    return table


def read_predictions(path: Path, ids: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """(N, K) in the order of `ids`. Raises UserError for other clips or other classes."""
    found = pd.read_csv(path, dtype={ID_COLUMN: str}).set_index(ID_COLUMN)
    if wrong := difference(tuple(found.columns), classes):
        raise UserError(f"{path} is {wrong}")
    if missing := set(ids) - set(found.index):
        raise UserError(f"{path}: lacks {named(sorted(missing))}")
    return found.loc[list(ids)].to_numpy()


def write_mean(
    fold: FoldData, folder: Path, mean: np.ndarray, targets: np.ndarray, record: Mapping[str, Any]
) -> None:
    """The files of a system that is no training: its predictions of the test clips, and `record`.

    Shapes: mean (N, K) probabilities, targets (N, K), see `evaluation_targets`.
    """
    table, rows = fold.table, fold.split.test
    predictions = predictions_table(table.ids[rows], mean, table.classes)
    files = {PREDICTIONS: predictions.to_csv(index=False).encode()}
    write_finished(folder, files, {**record, "figures": figures_of(fold, mean, targets)})
