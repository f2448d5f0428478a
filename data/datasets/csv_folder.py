"""A user's own recordings: a folder and a CSV file with their labels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from config import ConfigError, Task, UserError
from data.tables.clips import Clip, ClipTable, first_paths, read_csv
from data.tables.label_cells import check_separators, is_soft, read_labels

SPLITS = ("train", "validate", "test")
COLUMNS = (
    *("filename", "label", "labels", "split", "fold"),
    *("group", "start_seconds", "seconds"),
)
TAKEN = ("", "id", "path", "labelled")  # a clip table uses these names itself
SPLIT_OF = {
    **dict.fromkeys(("training", "dev", "development"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validate"),
    **dict.fromkeys(("testing", "eval", "evaluation", "evaluate"), "test"),
}
COLUMN_OF = {
    **dict.fromkeys(("file", "file_name", "path", "filepath", "audio", "wav", "name"), "filename"),
    **dict.fromkeys(("class", "category", "target", "event", "scene"), "label"),
    **dict.fromkeys(("tag", "tags", "classes", "categories", "events"), "labels"),
    **dict.fromkeys(("subset", "partition", "set"), "split"),
    **dict.fromkeys(("folds", "kfold"), "fold"),
}
"""Names of other data sets -> the name here. They are not accepted: two could mean the same."""


class CsvFolder:
    """Recordings of any format, with one label per clip or several, in splits or folds.

    ::

        filename,label,split,device
        street/0001.flac,siren,train,a
        park/0002.wav,dog,validate,b

    Columns: filename, below the root; label (or labels), several separated by ";" where task is
    multi_label; split (train, validate or test) or fold (from 1). Optional: group, the place or
    sensor that must not straddle a split, as no recording may; start_seconds and seconds, a clip's
    segment of a longer recording, which may then be on several lines. Every other column is kept as
    an extra.

    A clip whose label is empty has none, and is used for distillation only. Training clips can have
    soft targets, dog=0.7;rain=0.3. With CLIP_SECONDS = 0 clips are cut or padded to 10 s.

    Options:
        csv: name of the table, below the root.
        task: one label per clip, or several.
        metric: a name in metrics.METRICS; empty: accuracy for single_label, mean_average_precision
            for multi_label.
        classes: the classes in their order, or the classes.json of features that have them; empty:
            all labels that occur, sorted. Required where no clip has a label.
        empty_labels: meaning of an empty cell where task is multi_label: none of the tags, or a
            clip without labels.
    """

    clip_seconds = 10.0
    embedded = False
    stereo = False
    recording_seconds = 0.0
    clips_summary = "your own"
    labels_summary = "one label or several per clip"
    how_to_get = "put your recordings and clips.csv into the folder [data] ROOT"
    licence = "the user's own recordings"

    def __init__(
        self,
        *,
        csv: str = "clips.csv",
        task: Task = "single_label",
        metric: str = "",
        classes: tuple[str, ...] = (),
        empty_labels: Literal["no_tags", "unlabelled"] = "no_tags",
    ) -> None:
        self.csv, self.task, self.classes = csv, task, classes
        self.metric = metric or default_metric(task)
        self.empty_is_unlabelled = task == "single_label" or empty_labels == "unlabelled"

    def table(self, root: Path) -> ClipTable:
        path = root / self.csv
        if not path.is_file():
            raise UserError(
                f"{path}: no such file; set data.root to the folder of the recordings and data.csv "
                "to the name of the table in it, or DATASET = folder, if each class is a folder"
            )
        rows = read_csv(path, ("filename",), COLUMN_OF)
        if not rows:
            raise UserError(f"{path}: has no rows below its header")
        columns = list(rows[0][1])
        if clash := [name for name in columns if name in TAKEN]:
            raise UserError(f"{path}: a column may not be called {clash[0]!r}; rename it")
        label = only_one_of(path, columns, "label", "labels")
        part = only_one_of(path, columns, "split", "fold")
        clips: dict[str, Clip] = {}
        lines: dict[str, str] = {}  # the first with each label
        recordings = first_paths(root / row["filename"] for _, row in rows)
        for (line, row), recording in zip(rows, recordings, strict=True):
            where = f"{path} line {line}"
            split, fold = read_part(where, part, row[part])
            start = read_seconds(where, row, "start_seconds") or 0.0
            name = row["filename"] if start == 0 else f"{row['filename']}#{start}"
            if not row["filename"]:
                raise UserError(f"{where}: no filename")
            if name in clips:
                raise UserError(f"{where}: clip {name!r} is in the table already")
            labels = read_labels(where, row[label], self.task)
            if is_soft(labels) and split != "train":
                found = f"found {row[label]!r}, but soft targets are for training clips (split"
                raise UserError(f"{where}: {found} train) alone")
            for one in labels:
                lines.setdefault(one, where)
            clips[name] = Clip(
                id=name,
                path=recording,
                labels=None if not labels and self.empty_is_unlabelled else labels,
                split=split,
                fold=fold,
                group=row.get("group", ""),
                start_seconds=start,
                seconds=read_seconds(where, row, "seconds"),
                extras={name: row[name] for name in columns if name not in COLUMNS},
            )
        classes = read_classes(path, self.classes, clips.values())
        if self.task == "multi_label":
            check_separators(lines, classes if self.classes else ())
        return ClipTable.of(clips.values(), classes, self.task)

    def sources(self, root: Path) -> list[Path]:
        return [root / self.csv, *classes_file(self.classes)]

    def download(self, root: Path) -> None:
        raise UserError(
            f"csv_folder reads your own recordings: put them and {self.csv} into {root}"
        )


def default_metric(task: str) -> str:
    return "accuracy" if task == "single_label" else "mean_average_precision"


def read_classes(where: Path, given: Sequence[str], clips: Iterable[Clip]) -> list[str]:
    """`given`, or those of a classes.json of features; where empty, all labels, sorted.

    Raises UserError where no clip has a label, ConfigError for an unreadable file.
    """
    for path in classes_file(given):
        try:
            return list(json.loads(path.read_text("utf-8"))["classes"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            found = f"found {path}, which has no classes ({error})"
            raise ConfigError("[data] classes", found) from None
    if classes := list(given) or sorted({name for clip in clips for name in clip.labels or ()}):
        return classes
    raise UserError(
        f"{where}: no clip has a label; set [data] CLASSES to the classes of the teacher, in their "
        "order, or to the classes.json of its features"
    )


def classes_file(given: Sequence[str]) -> list[Path]:
    """The classes.json that CLASSES names, or nothing."""
    return [Path(name) for name in given if len(given) == 1 and name.endswith(".json")]


def only_one_of(path: Path, columns: list[str], *names: str) -> str:
    """The one of `names` that is a column. Raises UserError for none and for both."""
    found = [name for name in names if name in columns]
    if len(found) != 1:
        similar = next((name for name in columns if COLUMN_OF.get(name.lower()) in names), None)
        hint = f"; rename {similar!r} to {COLUMN_OF[similar.lower()]!r}?" if similar else ""
        raise UserError(
            f"{path}: expected one of the columns {' and '.join(names)}, "
            f"found {' and '.join(found) or 'neither'} among {', '.join(columns)}"
            f"{'' if found else hint}"
        )
    return found[0]


def read_part(where: str, column: str, text: str) -> tuple[str, int]:
    """(split, fold), one of them empty."""
    if column == "split":
        if text not in SPLITS:
            known = SPLIT_OF.get(text.lower(), text.lower())
            hint = f"; did you mean {known!r}?" if known in SPLITS else ""
            raise UserError(f"{where}: split is {text!r}, expected {', '.join(SPLITS)}{hint}")
        return text, 0
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise UserError(f"{where}: fold is {text!r}, expected 1, 2, 3 …")
    return "", int(text)


def read_seconds(where: str, row: dict[str, str], column: str) -> float | None:
    """None where the column is empty or absent."""
    text = row.get(column, "")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (0 <= seconds < math.inf) or (seconds == 0 and column == "seconds"):
        raise UserError(f"{where}: {column} is {text!r}, expected a number of seconds")
    return seconds
