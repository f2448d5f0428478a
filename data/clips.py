"""A clip is what every data set yields; a clip table holds all clips of one as columns."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from config import UserError

Task = Literal["single_label", "multi_label"]


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled stretch of one recording.

    Splits, folds, caches, predictions and teacher outputs are keyed by `id`, never by position.
    """

    id: str  # unique in its data set; the file name, for the public sets
    path: Path  # of the recording, below the data set's root
    labels: Mapping[str, float]  # class -> target in [0, 1]; a class that is not named is 0
    split: str = ""  # "train", "validate", "test"; empty where the data set has folds instead
    fold: int = 0  # from 1; 0 where the data set has no folds
    group: str = ""  # the recording, sensor or place that must not straddle a split
    start_seconds: float = 0.0
    seconds: float | None = None  # None: to the end of the recording
    extras: Mapping[str, str] = field(default_factory=dict)  # device, city, annotator …


class Dataset(Protocol):
    """A description of a data set: it tables its clips and never decodes one.

    Its INI options are the annotated keyword-only parameters of its constructor. What only the
    files can tell (the classes and their order, the number of folds) is the table's.
    """

    task: Task
    metric: (
        str  # name in metrics.METRICS: the figure that the table shows and the epoch is chosen by
    )
    clip_seconds: float
    embedded: bool  # download() needs no network: make_mel.py calls it unasked

    def table(self, root: Path) -> ClipTable:
        """All labelled clips below `root`, checked. Raises UserError that names what is wrong.

        Whether the recordings themselves are there and can be read is for make_mel.py to find out:
        the path of one that is missing is where it should lie.
        """
        ...

    def download(self, root: Path) -> None:
        """Fetch (or synthesise) what is not below `root` yet. Raises UserError."""
        ...


class ClipTable:
    """The clips of a data set as columns, in the order of their ids.

    `frame` is indexed by id, with the columns path, split, fold, group, start_seconds, seconds
    (NaN: to the end) and one a kind of extra. `targets` is (N, K) float32, ordered as `classes`.
    """

    def __init__(
        self, frame: pd.DataFrame, targets: np.ndarray, classes: Sequence[str], task: Task
    ) -> None:
        self.frame, self.targets, self.classes, self.task = frame, targets, tuple(classes), task

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def ids(self) -> np.ndarray:
        return self.frame.index.to_numpy()

    @property
    def folds(self) -> int:
        """How many; 0 where the data set has splits instead."""
        return int(self.frame["fold"].max())

    @classmethod
    def of(cls, clips: Iterable[Clip], classes: Sequence[str], task: Task) -> ClipTable:
        """Raises UserError for no clips, an id given twice, a class not in `classes`, and, in a
        single-label task, a clip without exactly one label."""
        clips = sorted(clips, key=lambda clip: clip.id)
        check_clips(clips, classes, task)
        column = {name: index for index, name in enumerate(classes)}
        targets = np.zeros((len(clips), len(classes)), np.float32)
        for row, clip in enumerate(clips):
            for name, target in clip.labels.items():
                targets[row, column[name]] = target
        columns = {
            "path": [clip.path.as_posix() for clip in clips],
            "split": [clip.split for clip in clips],
            "fold": [clip.fold for clip in clips],
            "group": [clip.group for clip in clips],
            "start_seconds": [clip.start_seconds for clip in clips],
            "seconds": [np.nan if clip.seconds is None else clip.seconds for clip in clips],
        }
        for kind in sorted({kind for clip in clips for kind in clip.extras}):
            columns[kind] = [clip.extras.get(kind, "") for clip in clips]
        index = pd.Index([clip.id for clip in clips], name="id")
        return cls(pd.DataFrame(columns, index=index), targets, classes, task)

    def take(self, rows: np.ndarray) -> ClipTable:
        """The clips of some rows, given as positions or as a mask."""
        return ClipTable(self.frame.iloc[rows], self.targets[rows], self.classes, self.task)

    def write(self, folder: Path) -> None:
        """clips.csv, readable by people, and classes.json."""
        names = np.array(self.classes)
        labels = [
            ";".join(f"{names[k]}={row[k]:.9g}" for k in np.flatnonzero(row))
            for row in self.targets
        ]
        table = self.frame.assign(labels=labels)
        table.to_csv(folder / "clips.csv", quoting=csv.QUOTE_MINIMAL)
        (folder / "classes.json").write_text(
            json.dumps({"task": self.task, "classes": self.classes})
        )

    @classmethod
    def read(cls, folder: Path) -> ClipTable:
        described = json.loads((folder / "classes.json").read_text())
        text = dict.fromkeys(("fold",), int) | dict.fromkeys(("start_seconds", "seconds"), float)
        frame = pd.read_csv(folder / "clips.csv", dtype=str, keep_default_na=False)
        frame["seconds"] = frame["seconds"].replace("", "nan")
        frame = frame.astype(text).set_index("id")
        column = {name: index for index, name in enumerate(described["classes"])}
        targets = np.zeros((len(frame), len(column)), np.float32)
        for row, labels in enumerate(frame.pop("labels")):
            for label in filter(None, labels.split(";")):
                name, _, target = label.rpartition("=")
                targets[row, column[name]] = float(target)
        return cls(frame, targets, described["classes"], described["task"])


def check_clips(clips: Sequence[Clip], classes: Sequence[str], task: Task) -> None:
    if not clips:
        raise UserError("the data set has no labelled clip")
    known = set(classes)
    for before, clip in zip([None, *clips], clips, strict=False):
        if before is not None and before.id == clip.id:
            raise UserError(f"two clips have the id {clip.id!r}")
        if unknown := set(clip.labels) - known:
            raise UserError(f"clip {clip.id!r} has the unknown label {sorted(unknown)[0]!r}")
        if task == "single_label" and sum(clip.labels.values()) != 1:
            raise UserError(f"clip {clip.id!r} wants exactly one label, has {dict(clip.labels)}")
        if any(mark in name for name in clip.labels for mark in ";="):
            raise UserError(f"clip {clip.id!r}: a label may hold neither ';' nor '='")


def read_csv(path: Path, wanted: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) of each row of a small CSV file; `wanted` are columns that it must have.

    Raises UserError for a missing or repeated column and for a row that does not fit the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    if missing := [name for name in wanted if name not in columns]:
        raise UserError(f"{path}: no column {missing[0]!r} (it has {', '.join(columns) or 'none'})")
    if len(set(columns)) < len(columns):
        raise UserError(f"{path}: two columns have the same name ({', '.join(columns)})")
    for line, row in rows:
        if None in row or None in row.values():
            raise UserError(f"{path} line {line}: want {len(columns)} fields, as in the header")
    return rows
