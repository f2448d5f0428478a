"""A clip is what every data set yields; a clip table holds all clips of one as columns."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import pandas as pd

from config import UserError, nearest

Task = Literal["single_label", "multi_label"]
NUMBERS = {"fold": "int64", "start_seconds": "float64", "seconds": "float64"}
CSV = {"lineterminator": "\n"}  # a carriage return in a name is a character like any other
COLUMNS = {"id", "path", "split", "group", "labels", *NUMBERS}


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
    metric: str  # name in metrics.METRICS: what the table shows and the epoch is chosen by
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
    (NaN: to the end) and one a kind of extra. `targets` is (N, K) float32, in the order of
    `classes`.
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
        """Raises UserError for no clips, an id given twice, an unknown or a missing label."""
        clips = sorted(clips, key=lambda clip: clip.id)
        check_clips(clips, classes, task)
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
        frame = pd.DataFrame(columns, index=pd.Index([clip.id for clip in clips], name="id"))
        frame = frame.astype(NUMBERS)
        return cls(frame, target_matrix([clip.labels for clip in clips], classes), classes, task)

    def take(self, rows: np.ndarray) -> ClipTable:
        """The clips of some rows, given as positions or as a mask."""
        return ClipTable(self.frame.iloc[rows], self.targets[rows], self.classes, self.task)

    def write(self, folder: Path) -> None:
        """clips.csv, readable by people, and classes.json."""
        labels = [""] * len(self)
        for row, column in np.argwhere(self.targets).tolist():
            label = f"{self.classes[column]}={self.targets[row, column]:.9g}"  # exact for float32
            labels[row] += f";{label}" if labels[row] else label
        described = {"task": self.task, "classes": self.classes}
        replace_text(folder / "classes.json", json.dumps(described, ensure_ascii=False, indent=1))
        replace_text(folder / "clips.csv", self.frame.assign(labels=labels).to_csv(**CSV))

    @classmethod
    def read(cls, folder: Path) -> ClipTable:
        described = json.loads((folder / "classes.json").read_text("utf-8"))
        frame = pd.read_csv(folder / "clips.csv", dtype=str, keep_default_na=False, **CSV)
        frame["seconds"] = frame["seconds"].replace("", "nan")
        frame = frame.set_index("id").astype(NUMBERS)
        labels = [labels_of(text) for text in frame.pop("labels")]
        targets = target_matrix(labels, described["classes"])
        return cls(frame, targets, described["classes"], described["task"])


def labels_of(text: str) -> dict[str, float]:
    """`dog=1;music=0.5` -> {"dog": 1.0, "music": 0.5}."""
    parts = (label.rpartition("=") for label in text.split(";") if label)
    return {name: float(target) for name, _, target in parts}


def target_matrix(labels: Sequence[Mapping[str, float]], classes: Sequence[str]) -> np.ndarray:
    """(N, K) float32."""
    column = {name: index for index, name in enumerate(classes)}
    targets = np.zeros((len(labels), len(classes)), np.float32)
    for row, named in enumerate(labels):
        for name, target in named.items():
            targets[row, column[name]] = target
    return targets


def replace_text(path: Path, text: str) -> None:
    """A reader finds the old text or the new one, never half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8", newline="")
    unfinished.replace(path)


def check_clips(clips: Sequence[Clip], classes: Sequence[str], task: Task) -> None:
    """`clips` are in the order of their ids."""
    if not clips:
        raise UserError("the data set has no labelled clip")
    known = set(classes)
    if len(known) < len(classes) or any(";" in name for name in classes):
        raise UserError(f"want each class once and without ';', found {', '.join(classes)}")
    for before, clip in pairwise(clips):
        if before.id == clip.id:
            raise UserError(f"two clips have the id {clip.id!r}")
    for clip in clips:
        if not known.issuperset(clip.labels):
            unknown = next(name for name in clip.labels if name not in known)
            raise UserError(
                f"clip {clip.id!r} has the unknown label {unknown!r}{nearest(unknown, classes)}"
            )
        targets = clip.labels.values()
        if not all(0 <= target <= 1 for target in targets):
            raise UserError(f"clip {clip.id!r} wants targets from 0 to 1, has {dict(clip.labels)}")
        if task == "single_label" and [target for target in targets if target] != [1]:
            raise UserError(f"clip {clip.id!r} wants exactly one label, has {dict(clip.labels)}")
        if taken := COLUMNS.intersection(clip.extras):
            raise UserError(f"clip {clip.id!r}: no extra may have the name {min(taken)!r}")


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
