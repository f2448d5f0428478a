"""Figures and files of a system, whether it was trained or is the mean of others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.tables.clips import MOST_GROUPS, ClipTable
from metrics import classwise, evaluate, scenes
from training.fold import FoldData
from training.run_folder import write_once


def figures_of(fold: FoldData, predicted: np.ndarray) -> dict[str, float]:
    """Every metric on the test clips, the headline metric of each class and, for scenes,
    `figures_by_group`.
    """
    table, rows, metric = fold.table, fold.split.test, fold.experiment.metric
    evaluated = predicted, table.targets[rows], table.classes, table.task
    by_class = classwise(*evaluated, metric)
    figures = evaluate(*evaluated) | {f"{metric} {name}": v for name, v in by_class.items()}
    if table.task == "single_label":
        figures |= figures_by_group(table, rows, predicted)
    return figures


def figures_by_group(table: ClipTable, rows: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """`class bus log_loss`, `device a accuracy`, `device_group seen clips` and so on: the
    figures of `scenes.by_group` for each class and each value of an extra that has few values.
    """
    targets = table.targets[rows]
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
    table.insert(0, "audio_filename", ids)
    return table


def write_mean(fold: FoldData, folder: Path, mean: np.ndarray, record: Mapping[str, Any]) -> None:
    """The files of a system that is no training: its predictions of the test clips, and `record`.

    Shapes: mean (N, K) probabilities.
    """
    table, rows = fold.table, fold.split.test
    predictions = predictions_table(table.ids[rows], mean, table.classes)
    write_once(folder / "predictions.csv", predictions.to_csv(index=False))
    metrics = {**record, "figures": figures_of(fold, mean)}
    write_once(folder / "metrics.json", json.dumps(metrics, indent=1))
