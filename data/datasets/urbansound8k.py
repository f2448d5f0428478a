"""UrbanSound8K: slices of street recordings of Freesound, in ten published folds."""

from __future__ import annotations

import math
import os
import warnings
from collections import Counter
from pathlib import Path

from config import Task, UserError
from data.tables.clips import Clip, ClipTable, read_csv

CLASSES = (
    *("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling"),
    *("engine_idling", "gun_shot", "jackhammer", "siren", "street_music"),
)
COLUMNS = ("slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class")
SALIENCE = {"1": "foreground", "2": "background"}
PUBLISHED = dict(enumerate((873, 888, 925, 990, 936, 823, 838, 806, 816, 837), start=1))
"""Fold -> its clips."""

TABLE = "metadata/UrbanSound8K.csv"
URL = "https://zenodo.org/records/1203745/files/UrbanSound8K.tar.gz?download=1"
BYTES, MD5 = 6_023_741_708, "9aa69802bbf37fb986f71ec1483a196e"


class UrbanSound8k:
    """8732 slices of at most 4 s in 10 classes; the slices of one recording stay in one fold.

    The clips are those rows of the table whose recordings are there. Where some are missing, a
    warning counts those of each fold; a fold without recordings does not exist. Scores are those of
    the published protocol only with all ten folds.

    A clip ends after end - start of its row: the length of the published files. Copies that are
    padded or looped to 4 s are thus cut to the slice. The group of a clip is its Freesound
    recording (fsID); its salience, foreground or background, is an extra.

    Source: Salamon, Jacoby & Bello, ACM MM 2014, doi:10.1145/2647868.2655045;
    zenodo.org/records/1203745. Licence: CC BY-NC.
    Layout: metadata/UrbanSound8K.csv and audio/fold<fold>/*, in the root or in its folder
    UrbanSound8K. The table lists the recordings, which may have any format.
    """

    task: Task = "single_label"
    metric = "accuracy"
    clip_seconds = 4.0
    embedded = False
    stereo = False
    recording_seconds = 0.0
    clips_summary = "8732 of at most 4 s"
    labels_summary = "10 classes, ten folds"
    how_to_get = "python make_mel.py --download (6.0 GB)"
    licence = "UrbanSound8K (Salamon, Jacoby & Bello), CC BY-NC"

    def table(self, root: Path) -> ClipTable:
        path = self.find(root)
        clips = [read_clip(path, line, row) for line, row in read_csv(path, COLUMNS)]
        there = {fold: names_in(audio_folder(path, fold)) for fold in PUBLISHED}
        clips = [clip for clip in clips if clip.id in there[clip.fold]]
        self.report(path.parent.parent, Counter(clip.fold for clip in clips))
        return ClipTable.of(clips, CLASSES, self.task)

    def sources(self, root: Path) -> list[Path]:
        return [self.find(root)]

    def find(self, root: Path) -> Path:
        paths = [root / TABLE, root / "UrbanSound8K" / TABLE]
        if not (found := [path for path in paths if path.is_file()]):
            raise UserError(
                f"{root}: no {TABLE} in it or in its folder UrbanSound8K; run make_mel.py with "
                "--download, or set data.root to the folder of metadata and audio"
            )
        return found[0]

    def report(self, folder: Path, found: Counter[int]) -> None:
        """Warn of missing recordings. UserError where there is none."""
        if not found:
            raise UserError(
                f"{folder / 'audio'}: none of the recordings of {TABLE} is there; run make_mel.py "
                "with --download"
            )
        complete = [fold for fold, clips in PUBLISHED.items() if found[fold] == clips]
        partial = [fold for fold in sorted(found) if fold not in complete]
        if missing := sum(PUBLISHED.values()) - found.total():
            parts = [f"{missing} of {sum(PUBLISHED.values())} clips are missing"]
            parts.append(f"complete folds: {', '.join(map(str, complete)) or 'none'}")
            parts += [f"fold {k}: {found[k]} of {PUBLISHED[k]} clips" for k in partial]
            warnings.warn(f"{folder}: {'; '.join(parts)}", stacklevel=3)

    def download(self, root: Path) -> None:
        """Fetch all of it, 6.0 GB, unpack and check it in `root`. Raises UserError."""
        from data.download import Archive, download

        download((Archive("UrbanSound8K.tar.gz", (URL,), BYTES, MD5),), root)
        self.check_complete(root)

    def check_complete(self, root: Path) -> None:
        """UserError unless each fold has as many clips as published."""
        with warnings.catch_warnings(action="ignore"):
            table = self.table(root)
        found = Counter(table.columns["fold"][:].tolist())
        if wrong := [fold for fold in PUBLISHED if found[fold] != PUBLISHED[fold]]:
            fold = wrong[0]
            raise UserError(
                f"{root}: found {found[fold]} recordings of fold {fold}, expected {PUBLISHED[fold]}"
            )


def read_clip(path: Path, line: int, row: dict[str, str]) -> Clip:
    """A row of the table. Raises UserError for a wrong one."""
    where, name = f"{path} line {line}", row["slice_file_name"]
    if row["fold"] not in map(str, PUBLISHED):
        raise UserError(f"{where}: fold is {row['fold']!r}, expected 1 to {len(PUBLISHED)}")
    if row["salience"] not in SALIENCE:
        raise UserError(f"{where}: salience is {row['salience']!r}, expected 1 or 2")
    if (row["classID"], row["class"]) not in zip(map(str, range(10)), CLASSES, strict=True):
        raise UserError(
            f"{where}: class {row['classID']} is {row['class']!r}, expected 0 to 9 for "
            f"{', '.join(CLASSES)}"
        )
    if Path(name).stem.split("-")[:2] != [row["fsID"], row["classID"]]:
        raise UserError(
            f"{where}: slice_file_name is {name!r}, expected {row['fsID']}-{row['classID']}-… by "
            "the other columns"
        )
    try:
        seconds = float(row["end"]) - float(row["start"])
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UserError(
            f"{where}: start is {row['start']!r} and end {row['end']!r}, expected seconds, and the "
            "end after the start"
        )
    return Clip(
        id=name,
        path=audio_folder(path, int(row["fold"])) / name,
        labels={row["class"]: 1.0},
        fold=int(row["fold"]),
        group=row["fsID"],
        seconds=seconds,
        extras={"salience": SALIENCE[row["salience"]]},
    )


def audio_folder(path: Path, fold: int) -> Path:
    """The recordings of a fold, for the `path` of the table."""
    return path.parent.parent / "audio" / f"fold{fold}"


def names_in(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()
