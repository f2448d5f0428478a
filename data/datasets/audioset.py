"""AudioSet: two million segments of videos with 527 tags, as far as their audio is available."""

from __future__ import annotations

import csv
import math
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from config import Task, UserError
from data.tables.clips import ClipTable, first_of, read_csv
from data.tables.columns import Column
from data.tables.targets import Targets

CLASSES = 527
VOCABULARY = "class_labels_indices.csv"
VOCABULARY_MD5 = "68c0b5c199d6cc789852b144cc3ab500"
TRAIN = {
    "balanced": ("balanced_train_segments.csv",),
    "full": ("balanced_train_segments.csv", "unbalanced_train_segments.csv"),
}
TEST = "eval_segments.csv"
URL = "{scheme}://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/{name}"
RECORDING = re.compile(
    r"Y?([\w-]{11})"  # of YouTube
    r"(?:_(\d+(?:\.\d+)?)(?:[_-]\d+(?:\.\d+)?)?)?"  # start and end
    r"\.(?i:wav|flac|ogg|opus|mp3|aiff?)",
    re.ASCII,
)
NAMES = "<YouTube id>.wav, Y<id>.wav, <id>_<start>.wav or <id>_<start>_<end>.wav"
BLOCK = 2**13  # segments that are read at a time


class Segments(NamedTuple):
    """N rows of a table of segments, with P labels in total."""

    ids: np.ndarray  # (N,) bytes, of YouTube; a video has one segment
    starts: np.ndarray  # (N,), s
    rows: np.ndarray  # (P,) the row of each label
    labels: np.ndarray  # (P,) its place in the vocabulary


class Recordings(NamedTuple):
    """M files whose names are those of recordings."""

    ids: np.ndarray  # (M,) bytes
    starts: np.ndarray  # (M,), s or ms, NaN where the name has none
    paths: np.ndarray  # (M,) bytes


class AudioSet:
    """Segments of 10 s, some shorter, of YouTube videos; the eval segments are the test set.

    Google publishes the segments and their labels, but not the audio. The clips are those whose
    recordings are below the root, in any folders; a warning gives their share of the full set,
    which any score depends on. There is no validation split: [data] HOLD_OUT holds out training
    clips.

    Option: subset, the training segments: balanced, or full (balanced and unbalanced).

    Recordings are named <YouTube id>, Y<id>, <id>_<start> or <id>_<start>_<end>, the start in s or
    ms, such as Y--PJHxphWEs.wav or --PJHxphWEs_30000.flac (wav, flac, ogg, opus, mp3, aiff). A file
    whose name has another start is another segment and is left out; of several recordings of a
    segment the first path is used.

    Source: Gemmeke et al., ICASSP 2017; research.google.com/audioset. Licence: labels CC BY 4.0.
    Layout: class_labels_indices.csv, balanced_train_segments.csv, eval_segments.csv and, for full,
    unbalanced_train_segments.csv in the root.
    """

    task: Task = "multi_label"
    metric = "mean_average_precision"
    clip_seconds = 10.0
    embedded = False
    stereo = False
    recording_seconds = 0.0
    clips_summary = "42531 (SUBSET = balanced) or 2.08 million (full) of 10 s"
    labels_summary = "527 tags"
    how_to_get = "your own recordings; python make_mel.py --download fetches the tables"
    licence = "AudioSet (Google), labels CC BY 4.0; the recordings are their publishers'"

    def __init__(self, *, subset: Literal["balanced", "full"] = "balanced") -> None:
        self.tables = (*TRAIN[subset], TEST)

    def table(self, root: Path) -> ClipTable:
        if missing := [name for name in (VOCABULARY, *self.tables) if not (root / name).is_file()]:
            raise UserError(
                f"{root}: no {', no '.join(missing)}; run make_mel.py with --download, which "
                "fetches these tables, not the recordings: they are not public"
            )
        mids, classes = read_vocabulary(root / VOCABULARY)
        tables = [read_segments(root / name, mids) for name in self.tables]
        segments, sizes = joined(tables), [len(table.ids) for table in tables]
        paths, others = recordings_of(segments, find_recordings(root))
        self.report(root, np.split(paths != b"", np.cumsum(sizes)[:-1]), others)
        there = np.flatnonzero(paths)
        is_train = np.repeat([name != TEST for name in self.tables], sizes)
        ids = Column(segments.ids[there])
        targets = Targets.of_pairs(segments.rows, segments.labels, (len(paths), CLASSES))
        return ClipTable.of_columns(
            {
                "id": ids,
                "path": Column(paths[there]),
                "split": Column(np.array([b"test", b"train"]), is_train[there].astype(np.uint8)),
                "group": ids,
            },
            targets.take(there),
            classes,
            self.task,
        )

    def sources(self, root: Path) -> list[Path]:
        return [root / name for name in (VOCABULARY, *self.tables)]

    def report(self, root: Path, there: Sequence[np.ndarray], others: int) -> None:
        """Warn of missing recordings. UserError where a table has none at all."""
        counts = {name: (of.sum(), len(of)) for name, of in zip(self.tables, there, strict=True)}
        found = ", ".join(
            f"{some} of {most} of {name} ({some / most:.1%})"
            for name, (some, most) in counts.items()
        )
        if others:
            found += f"; files of other segments of a video, left out: {others}"
        if not all(some for some, _ in counts.values()):
            raise UserError(
                f"{root}: recordings that are there: {found}. Google does not publish them: put "
                f"yours into any folder below it, named {NAMES} (or flac, ogg, opus, mp3, aiff)"
            )
        if others or any(some < most for some, most in counts.values()):
            warnings.warn(f"{root}: recordings that are there: {found}", stacklevel=3)

    def download(self, root: Path) -> None:
        """Fetch the tables (1 MB; full: 100 MB) into `root`: the recordings are not public."""
        from data.download import Archive, download

        download(
            [
                Archive(
                    name,
                    tuple(URL.format(scheme=scheme, name=name) for scheme in ("https", "http")),
                    md5=VOCABULARY_MD5 if name == VOCABULARY else None,
                    md5_is_binding=False,
                )
                for name in (VOCABULARY, *self.tables)
            ],
            root,
        )


def read_vocabulary(path: Path) -> tuple[list[str], list[str]]:
    """(mids, display names) in the order of their indices. Raises UserError."""
    rows = [row for _, row in read_csv(path, ("index", "mid", "display_name"))]
    mids, names = ([row[column] for row in rows] for column in ("mid", "display_name"))
    if [row["index"] for row in rows] != [str(index) for index in range(CLASSES)]:
        raise UserError(f"{path}: expected the indices 0 to {CLASSES - 1} in order")
    if len(set(mids)) < CLASSES:
        raise UserError(f"{path}: {Counter(mids).most_common(1)[0][0]} is listed more than once")
    return mids, names


# Segments -----------------------------------------------------------------------------------------


def read_segments(path: Path, mids: Sequence[str]) -> Segments:
    """The segments of a table, whose labels are `mids`.

    Raises UserError for a malformed row, for labels that are no mids (listed and counted) and for
    a truncated table: one with fewer segments than its first lines promise.
    """
    index, parts = pd.Index(mids), []
    unknown: Counter[str] = Counter()
    for block in blocks(path):
        ids, starts, _, texts = zip(*block, strict=True)
        labels = ",".join(texts).split(",")
        places = index.get_indexer(pd.Index(labels))
        unknown.update(labels[k] for k in np.flatnonzero(places < 0))
        rows = np.repeat(np.arange(len(block)), [text.count(",") + 1 for text in texts])
        parts.append(Segments(as_ids(path, ids), as_seconds(path, starts), rows, places))
    if unknown:
        listed = [f"{mid} ({count} times)" for mid, count in unknown.most_common()]
        raise UserError(
            f"{path}: labels that are not in {VOCABULARY}: {len(unknown)}{first_of(listed)}"
        )
    if not parts:
        raise UserError(f"{path}: has no segment")
    segments = joined(parts)
    if len(segments.ids) < (promised := promised_segments(path)):
        raise UserError(
            f"{path}: has {len(segments.ids)} segments, its first lines promise {promised}: it "
            "is truncated; delete it and fetch it again with --download"
        )
    return segments


def blocks(path: Path) -> Iterator[list[list[str]]]:
    """The rows of a table of segments, BLOCK at a time; lines that begin with # are comments."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = (line for line in file if not line.startswith("#"))
            # A space follows each comma: without the option it would take the quotes' place.
            reader = csv.reader(lines, skipinitialspace=True)
            while block := list(islice(reader, BLOCK)):
                for row in block:
                    if len(row) != 4:
                        raise UserError(
                            f"{path}: the row {', '.join(row[:5])!r} has {len(row)} fields, "
                            "expected YTID, start_seconds, end_seconds and, quoted, positive_labels"
                        )
                yield block
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV file in UTF-8 ({error})") from None


def promised_segments(path: Path) -> int:
    """The number of segments in its comments; 0 where they give none."""
    with path.open(encoding="utf-8-sig") as file:
        for line in islice(file, 3):
            if found := re.match(r"#.*\bnum_segs=(\d+)", line):
                return int(found[1])
    return 0


def as_ids(path: Path, texts: Iterable[str]) -> np.ndarray:
    ids = np.array([text.encode() for text in texts])
    if (wrong := np.char.str_len(ids) != 11).any():
        raise UserError(f"{path}: {ids[wrong][0].decode()!r} is no YouTube id of 11 characters")
    return ids


def as_seconds(path: Path, texts: Sequence[str]) -> np.ndarray:
    try:
        return np.array(texts, np.float64)
    except ValueError as error:
        raise UserError(f"{path}: start_seconds: {error}") from None


def joined(parts: Sequence[Segments]) -> Segments:
    """The segments of all parts, as one table."""
    before = np.cumsum([0, *(len(part.ids) for part in parts)])
    rows = [part.rows + start for part, start in zip(parts, before, strict=False)]
    columns = (
        [part.ids for part in parts],
        [part.starts for part in parts],
        rows,
        [part.labels for part in parts],
    )
    return Segments(*map(np.concatenate, columns))


# Recordings ---------------------------------------------------------------------------------------


def find_recordings(root: Path) -> Recordings:
    """All files below `root` with the name of a recording."""
    ids, starts, paths = [], [], []
    for folder, _, names in os.walk(root, followlinks=True):
        place = Path(folder).as_posix().encode()
        for name in names:
            if found := RECORDING.fullmatch(name):
                ids.append(found[1].encode())
                starts.append(float(found[2]) if found[2] else math.nan)
                paths.append(b"%b/%b" % (place, name.encode()))
    return Recordings(np.array(ids, "S11"), np.array(starts), np.array(paths, "S"))


def recordings_of(segments: Segments, found: Recordings) -> tuple[np.ndarray, int]:
    """The path of each segment's recording, empty where there is none, and how many files are of
    another segment of a video.

    Shapes: -> (N,) bytes.
    """
    order = np.argsort(segments.ids, kind="stable")
    ids = segments.ids[order]
    if (again := ids[1:] == ids[:-1]).any():
        raise UserError(
            f"videos with more than one segment, in one table or in several: {again.sum()}"
            f"{first_of([name.decode() for name in ids[1:][again]])}"
        )
    places = np.searchsorted(ids, found.ids)
    rows = order[np.minimum(places, len(order) - 1)]
    known = segments.ids[rows] == found.ids
    start = segments.starts[rows]
    fits = np.isnan(found.starts) | (found.starts == start) | (found.starts == 1000 * start)
    rows, named = rows[known & fits], found.paths[known & fits]
    paths = np.zeros(len(segments.ids), found.paths.dtype)
    paths[rows] = named
    several = np.flatnonzero(np.bincount(rows, minlength=len(paths))[rows] > 1)
    backwards = several[np.argsort(named[several])[::-1]]  # the first by its path is written last
    paths[rows[backwards]] = named[backwards]
    return paths, int((known & ~fits).sum())
