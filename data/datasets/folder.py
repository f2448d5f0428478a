"""A user's own recordings without a table: a folder, or one folder per class."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

from config import ConfigError, Task, UserError
from data.datasets.csv_folder import classes_file, default_metric, read_classes
from data.features.containers import ENDINGS
from data.features.decode import READABLE
from data.tables.clips import Clip, ClipTable, first_of, first_paths

UNLABELLED = ""  # the class of recordings in the root


class Folder:
    """Recordings of any format, in one folder per class, or without labels, and no table.

    Recordings in the root have no labels: they are used for distillation only. Each recording is a
    clip and its own group; the clips of each class are distributed over num_folds folds by a hash
    of their names, so that the same files give the same folds. Where recordings have more in common
    than their class, such as a sensor or a place, use csv_folder, whose table has groups.

    Options:
        task: that of the teacher, where there are no labels.
        metric: a name in metrics.METRICS; empty: accuracy for single_label, mean_average_precision
            for multi_label.
        classes: the classes in their order, or the classes.json of features that have them; empty:
            the folders, sorted. Required where there are none.
        num_folds: number of folds.

    Layout: <class>/<recording> and <recording> in the root, with any extension that libsndfile
    reads: wav, flac, ogg, opus, mp3, aiff and others; with PyAV also m4a, webm and those like
    them. The folder of a class may be a link. Hidden files are left out.
    """

    clip_seconds = 10.0
    embedded = False
    stereo = False
    recording_seconds = 0.0
    clips_summary = "your own"
    labels_summary = "the folder of each recording, or none"
    how_to_get = "put your recordings into the folder [data] ROOT, or one folder per class in it"
    licence = "the user's own recordings"

    def __init__(
        self,
        *,
        task: Task = "single_label",
        metric: str = "",
        classes: tuple[str, ...] = (),
        num_folds: int = 5,
    ) -> None:
        if num_folds < 2:
            raise ConfigError("[data] num_folds", f"found {num_folds}, expected at least 2")
        self.task, self.classes, self.num_folds = task, classes, num_folds
        self.metric = metric or default_metric(task)

    def table(self, root: Path) -> ClipTable:
        if not root.is_dir():
            raise UserError(f"{root}: no such folder; set data.root to that of the recordings")
        names = self.find(root)
        if empty := [name for name in folders_of(root) if name not in names]:
            warnings.warn(f"{root}: no recordings in {', '.join(empty)}", stacklevel=2)
        listed = [name for own in names.values() for name in own]
        paths = dict(zip(listed, first_paths(root / name for name in listed), strict=True))
        clips = [
            Clip(
                id=name,
                path=paths[name],
                labels=None if label == UNLABELLED else {label: 1.0},
                fold=1 + place % self.num_folds,
                group=name,
            )
            for label, own in names.items()
            for place, name in enumerate(sorted(own, key=hash_of))
        ]
        return ClipTable.of(clips, read_classes(root, self.classes, clips), self.task)

    def sources(self, root: Path) -> list[Path]:
        classes = [root / label for label in self.find(root) if label != UNLABELLED]
        return [root, *classes, *classes_file(self.classes)]

    def find(self, root: Path) -> dict[str, list[str]]:
        """Class -> the paths of its recordings below `root`. Raises UserError."""
        found: dict[str, list[str]] = {}
        endings = READABLE + ENDINGS
        tops = [root, *(path for path in root.iterdir() if path.is_symlink() and path.is_dir())]
        for path in sorted(path for top in tops for path in top.rglob("*")):  # follows no link
            parts = path.relative_to(root).parts
            hidden = any(part.startswith(".") for part in parts)
            if path.suffix.lower() in endings and not hidden and path.is_file():
                label = "/".join(parts[:-1])
                found.setdefault(label, []).append("/".join(parts))
        if odd := [name for names in found.values() for name in names if not is_utf8(name)]:
            shown = first_of([ascii(name) for name in odd])
            raise UserError(f"{root}: names that are not UTF-8; rename these files:{shown}")
        if not found:
            raise UserError(f"{root}: no recordings in it or in its folders ({' '.join(endings)})")
        if deeper := [names[0] for label, names in found.items() if "/" in label]:
            raise UserError(
                f"{root}: expected recordings in it or in one folder per class, found deeper ones "
                f"(csv_folder reads any layout):{first_of(deeper)}"
            )
        return found

    def download(self, root: Path) -> None:
        raise UserError(f"folder reads your own recordings: put them into {root}")


def folders_of(root: Path) -> list[str]:
    """Without hidden ones."""
    return [p.name for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith(".")]


def hash_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def is_utf8(name: str) -> bool:
    """The bytes of a name that are not have surrogates instead, which no file of ours can hold."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
