"""Exported students against a user's own annotations, with the metrics of the project."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from config import Task, UserError
from data.features.decode import read
from data.tables.clips import ClipTable
from deploy.ensemble import predict_windows
from deploy.student import Student


def annotated_clips(path: Path, student: Student) -> ClipTable:
    """The labelled test clips of a clips.csv, see `data.datasets.csv_folder.CsvFolder`.

    The classes are those of the student. Raises UserError for another label, and for no such clip.
    """
    from data.datasets.csv_folder import CsvFolder

    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a table such as recordings/clips.csv")
    described = student.description
    task = cast(Task, described.task)
    dataset = CsvFolder(csv=path.name, task=task, classes=described.classes)
    table = dataset.table(path.parent)
    found = table.take(np.flatnonzero(table.labelled & (table.columns["split"][:] == "test")))
    if not len(found):
        raise UserError(f"{path}: no labelled clip with the split test; others are not evaluated")
    return found


def clip_probabilities(
    students: Sequence[Student], table: ClipTable, seconds: float, hop: float
) -> np.ndarray:
    """(N, K): of each clip the mean over its windows. Raises BadAudio."""
    columns = [table.columns[name][:].tolist() for name in ("path", "start_seconds", "seconds")]
    found = []
    for path, start, length in zip(*columns, strict=True):
        clip = read(Path(path), start, None if math.isnan(length) else length)
        windows = predict_windows(students, [clip], seconds, hop)
        found.append(np.mean([probabilities for _, _, probabilities in windows], axis=0))
    return np.array(found)


def evaluation_text(table: ClipTable, scores: np.ndarray) -> Iterator[str]:
    """Each metric of `scores` (N, K), and the metric of each class."""
    from data.datasets.csv_folder import default_metric
    from metrics import classwise, evaluate, name_of_classwise

    task, classes, targets = table.task, table.classes, table.targets[:]
    yield f"{len(table)} clips of test"
    for name, value in evaluate(scores, targets, classes, task).items():
        yield f"{name:<28} {value:.4f}"
    metric = default_metric(task)
    yield f"{name_of_classwise(metric)} of each class"
    for name, value in classwise(scores, targets, classes, task, metric).items():
        yield f"  {name:<26} {value:.4f}"
