"""Clips, which every data set yields, and a clip table: all clips of one as columns."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import pandas as pd

from config import ConfigError, Task, UserError, nearest
from data.atomic_write import atomic_write
from data.tables.columns import Column, StoredColumns, write_columns
from data.tables.label_cells import TOLERANCE
from data.tables.targets import Targets

NUMBERS = {"fold": "int64", "start_seconds": "float64", "seconds": "float64"}
COLUMNS = {"id", "path", "split", "group", "labels", "labelled", *NUMBERS}
BLANK = {"fold": 0, "group": b"", "start_seconds": 0.0, "seconds": np.nan}
IN_MEMORY = ("id", "split", "fold", "group")  # of a table that was read: training uses these
FILES = ("clips.csv", "clips.npz", "classes.json")  # of a table
BLOCK = 2**16  # clips written at a time
SEPARATOR = "\0"  # between the paths of one clip: no path contains it
ID_COLUMN = "audio_filename"  # of predictions.csv: the first, before the classes
MOST_GROUPS = 20  # values of an extra: with more, each would have few clips


@dataclass(frozen=True, slots=True)
class Clip:
    """One segment of one recording.

    Splits, folds, caches, predictions and teacher outputs are keyed by `id`, never by position.
    """

    id: str  # unique in its data set; the file name, for the public sets
    path: Path  # of the recording, in the data set's root
    labels: Mapping[str, float] | None  # class -> target in [0, 1], others 0; None: not labelled
    split: str = ""  # "train", "validate", "test"; empty where the data set has folds instead
    fold: int = 0  # from 1; 0 where the data set has no folds
    group: str = ""  # the recording, sensor or place that must not straddle a split
    start_seconds: float = 0.0
    seconds: float | None = None  # None: to the end of the recording
    extras: Mapping[str, str] = field(default_factory=dict)  # device, city, recording …


class Dataset(Protocol):
    """A description of a data set: it makes the table of its clips and decodes none.

    Its INI options are the annotated keyword-only parameters of its constructor. What is only known
    from the files (the classes and their order, the number of folds) belongs to the table.
    """

    task: Task
    metric: str  # name in metrics.METRICS: reported, and used to select the epoch
    clip_seconds: float
    embedded: bool  # download() needs no network: make_mel.py always calls it
    stereo: bool  # a mono recording is bad where a front end has two channels
    recording_seconds: float  # of recordings that training crops, see ClipTable.recordings; or 0
    licence: str  # of the recordings: part of the metadata of every exported student
    clips_summary: str  # number and length of the clips, for `python -m data`
    labels_summary: str
    how_to_get: str

    def table(self, root: Path) -> ClipTable:
        """All clips below `root`, checked. Raises UserError that names what is wrong.

        make_mel.py checks whether the recordings exist and can be read: the path of a missing one
        is its expected place.
        """
        ...

    def sources(self, root: Path) -> list[Path]:
        """The files that `table` reads, and the folders whose names are labels or splits."""
        ...

    def download(self, root: Path) -> None:
        """Fetch (or synthesise) what is missing below `root`. Raises UserError."""
        ...


class ClipTable:
    """The clips of a data set as columns, in the order of their ids.

    `columns`: id, path, split, fold, group, start_seconds, seconds (NaN: to the end) and one per
    kind of extra. `targets` is (N, K) float32, in the order of `classes`; zero for clips without
    labels, which the further column labelled tells apart where there are any. Of a table that was
    read, the paths, times and extras stay on disk until they are accessed.
    """

    def __init__(
        self, columns: Mapping[str, Column], targets: Targets, classes: Sequence[str], task: Task
    ) -> None:
        self.columns, self.targets, self.classes, self.task = columns, targets, tuple(classes), task

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def ids(self) -> Column:
        return self.columns["id"]

    @property
    def folds(self) -> int:
        """The number of folds; 0 where the data set has splits instead."""
        return int(self.columns["fold"][:].max())

    @property
    def labelled(self) -> np.ndarray:
        """Which clips have labels, (N,) bool."""
        column = self.columns.get("labelled")
        return np.ones(len(self), bool) if column is None else column[:]

    @property
    def frame(self) -> pd.DataFrame:
        """All columns, indexed by id. Takes half a kilobyte per clip: for inspection."""
        frame = pd.DataFrame({name: column[:] for name, column in self.columns.items()})
        return frame.set_index("id").astype(NUMBERS)

    @classmethod
    def of(cls, clips: Iterable[Clip], classes: Sequence[str], task: Task) -> ClipTable:
        """Raises UserError for no clips, repeated ids, unknown and missing labels."""
        clips = list(clips)
        check_clips(clips, classes, task)
        columns = {
            "id": Column.of(clip.id for clip in clips),
            "path": Column.of(clip.path.as_posix() for clip in clips),
            "split": Column.of(clip.split for clip in clips),
            "fold": Column.of(clip.fold for clip in clips),
            "group": Column.of(clip.group for clip in clips),
            "start_seconds": Column.of(float(clip.start_seconds) for clip in clips),
            "seconds": Column.of(
                np.nan if clip.seconds is None else float(clip.seconds) for clip in clips
            ),
        }
        if any(clip.labels is None for clip in clips):
            columns["labelled"] = Column.of(clip.labels is not None for clip in clips)
        for kind in sorted({kind for clip in clips for kind in clip.extras}):
            columns[kind] = Column.of(clip.extras.get(kind, "") for clip in clips)
        targets = Targets.of([clip.labels or {} for clip in clips], classes)
        return cls.of_columns(columns, targets, classes, task)

    @classmethod
    def of_columns(
        cls, columns: Mapping[str, Column], targets: Targets, classes: Sequence[str], task: Task
    ) -> ClipTable:
        """From columns of millions of clips, in any order, without one object per clip.

        The columns id, path and split are required; others are filled with blanks unless given.
        Raises UserError for no clips, repeated ids and invalid classes.
        """
        count = len(columns["id"])
        if not count:
            raise UserError("the data set has no clips")
        if len(set(classes)) < len(classes) or any(";" in name for name in classes):
            raise UserError(f"expected each class once and without ';', found {', '.join(classes)}")
        if ID_COLUMN in classes:
            found = f"found {ID_COLUMN!r}, which is the first column of predictions.csv; rename it"
            raise ConfigError("[data] classes", found)
        order = np.argsort(columns["id"].raw(), kind="stable")
        ids = columns["id"].raw(order)
        if (again := ids[1:] == ids[:-1]).any():
            raise UserError(f"two clips have the id {ids[1:][again][0].decode()!r}")
        ordered = {
            name: columns[name].take(order)
            if name in columns
            else Column.filled(BLANK[name], count)
            for name in dict.fromkeys(("id", "path", "split", *BLANK, *columns))
        }
        return cls(ordered, targets.take(order), classes, task)

    def rows_of(self, ids: Column | Iterable[str]) -> np.ndarray:
        """The row of each id; -1 where there is none."""
        own = self.ids.raw()
        requested = (ids if isinstance(ids, Column) else Column.of(map(str, ids))).raw()
        order = np.argsort(own, kind="stable")
        places = np.searchsorted(own, requested, sorter=order)
        rows = order[np.minimum(places, len(own) - 1)]
        return np.where(own[rows] == requested, rows, -1)

    def groupings(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The extras that divide these clips into a few groups, such as their devices: name ->
        value for every clip of the table, (N,) str.
        """
        extras = {
            name: column[:].astype(str)
            for name, column in self.columns.items()
            if name not in COLUMNS
        }
        return {
            name: values
            for name, values in extras.items()
            if 2 <= len(np.unique(values[rows])) <= MOST_GROUPS
        }

    def take(self, rows: Any) -> ClipTable:
        """The clips of some rows, given as positions, a slice or a mask."""
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        return ClipTable(columns, self.targets.take(rows), self.classes, self.task)

    def recordings(self) -> ClipTable:
        """The recordings whose slices are the clips with the extra `recording`.

        The path of each consists of the paths of its slices, in the order of their ids, see
        `files_of`.
        """
        names, paths = self.columns["recording"].raw(), self.columns["path"][:]
        slices = np.flatnonzero(names != b"")
        slices = slices[np.argsort(names[slices], kind="stable")]
        ids, first = np.unique(names[slices], return_index=True)
        columns = {
            "id": Column(ids),
            "path": Column.of(SEPARATOR.join(paths[own]) for own in np.split(slices, first[1:])),
            "split": self.columns["split"].take(slices[first]),
        }
        targets = self.targets.take(slices[first])
        return ClipTable.of_columns(columns, targets, self.classes, self.task)

    def write(self, folder: Path) -> None:
        """clips.csv and classes.json, for inspection, and clips.npz, which `read` reads."""
        with atomic_write(folder / "classes.json") as file:
            described = {"task": self.task, "classes": self.classes}
            file.write(json.dumps(described, ensure_ascii=False, indent=1).encode())
        with atomic_write(folder / "clips.csv") as file:
            for start in range(0, len(self), BLOCK):
                part = self.take(slice(start, start + BLOCK))
                frame = part.frame.assign(labels=part.targets.texts(self.classes))
                # A carriage return in a name must not become a line break.
                file.write(frame.to_csv(header=start == 0, lineterminator="\n").encode())
        with atomic_write(folder / "clips.npz") as file:
            write_columns(file, self.columns, self.targets.arrays())

    @classmethod
    def read(cls, folder: Path) -> ClipTable:
        described = json.loads((folder / "classes.json").read_text("utf-8"))
        classes, columns = described["classes"], StoredColumns(folder / "clips.npz", IN_MEMORY)
        return cls(columns, Targets.read(columns.path, len(classes)), classes, described["task"])


def check_clips(clips: Sequence[Clip], classes: Sequence[str], task: Task) -> None:
    """Check the labels and extras of each clip by itself. Raises UserError."""
    known = set(classes)
    for clip in clips:
        if taken := COLUMNS.intersection(clip.extras):
            raise UserError(f"clip {clip.id!r}: no extra may have the name {min(taken)!r}")
        if clip.labels is None:
            continue
        if not known.issuperset(clip.labels):
            unknown = next(name for name in clip.labels if name not in known)
            raise UserError(
                f"clip {clip.id!r} has the unknown label {unknown!r}{nearest(unknown, classes)}"
            )
        targets = clip.labels.values()
        if not all(0 <= target <= 1 for target in targets):
            raise UserError(
                f"clip {clip.id!r} must have targets from 0 to 1, has {dict(clip.labels)}"
            )
        if task == "single_label" and abs(sum(targets) - 1) > TOLERANCE:
            raise UserError(
                f"clip {clip.id!r} must have exactly one label, has {dict(clip.labels)}"
            )


def read_csv(
    path: Path,
    required: Iterable[str],
    synonyms: Mapping[str, str] = MappingProxyType({}),
    delimiter: str = ",",
) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) of each row of a small CSV file; `required` are columns that it must have.

    Spaces around names and cells are removed. `synonyms` are other names of columns, which a
    message points at. Raises UserError for a missing or repeated column and for a row that does not
    fit the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, skipinitialspace=True)
            reader.fieldnames = columns = [name.strip() for name in reader.fieldnames or ()]
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    if missing := [name for name in required if name not in columns]:
        similar = [name for name in columns if synonyms.get(name.lower()) == missing[0]]
        hint = f"; rename {similar[0]!r} to {missing[0]!r}?" if similar else ""
        other = next((mark for mark in ";\t|" if mark in "".join(columns)), "")
        if len(columns) == 1 and other:
            raise UserError(
                f"{path}: its columns are separated by {other!r}, expected {delimiter!r}"
            )
        found = ", ".join(columns) or "none"
        raise UserError(f"{path}: no column {missing[0]!r} (it has {found}){hint}")
    if len(set(columns)) < len(columns):
        raise UserError(f"{path}: two columns have the same name ({', '.join(columns)})")
    for line, row in rows:
        if None in row or None in row.values():
            raise UserError(f"{path} line {line}: expected {len(columns)} fields, as in the header")
    return [(line, {name: cell.strip() for name, cell in row.items()}) for line, row in rows]


def files_of(path: str) -> list[Path]:
    """The files of a `path` in a clip table: several in that of `ClipTable.recordings`."""
    return list(map(Path, path.split(SEPARATOR)))


def first_paths(paths: Iterable[Path]) -> Iterator[Path]:
    """Each path, or the first that leads to the same file, by a link or by `..`."""
    folders: dict[Path, str] = {}  # os.path.realpath takes 60 us
    first: dict[str, Path] = {}
    for path in paths:
        if path.parent not in folders:
            folders[path.parent] = os.path.realpath(path.parent)
        found = os.path.join(folders[path.parent], path.name)
        yield first.setdefault(os.path.realpath(found) if os.path.islink(found) else found, path)


def first_of(names: list[str], shown: int = 5) -> str:
    """The first names, one per line, and the number of further ones."""
    more = [f"and {len(names) - shown} more"] if len(names) > shown else []
    return "".join(f"\n  {line}" for line in names[:shown] + more)
