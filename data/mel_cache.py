"""Features on disk: one folder a front end and data set, shards of float16 that training maps into memory.

    features/<data set>/<fingerprint>/
        shard_00000.npy   (clips, C, T, F), or (clips, C, S) of waveforms
        shard_00000.json  which clips it was made from; written after it: the mark that it is finished
        clips.csv, classes.json, bad_clips.csv
        front_end.json    written last: the mark that the cache is complete

Everything is written under another name and renamed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from config import Config, Mel, UserError
from data.clips import ClipTable

FORMAT = 1  # raised when the same settings would give other bytes
SHARD_BYTES = 64 * 2**20
LARGEST = float(np.finfo(np.float16).max)


class BadClip(NamedTuple):
    """A line of bad_clips.csv."""

    id: str
    path: str
    reason: str


# Where -----------------------------------------------------------------------------------------------------------


def front_end_fields(settings: Mel) -> dict[str, Any]:
    """The settings that the features depend on; `normalise` is applied in training."""
    kept = asdict(settings)
    kept.pop("normalise")
    if settings.front_end == "waveform":
        kept = {k: kept[k] for k in ("front_end", "sample_rate", "channels", "pre_emphasis")}
    return kept


def cache_folder(config: Config, role: Literal["teacher", "student"]) -> Path:
    """features/<data set>/<fingerprint> below the working directory.

    The fingerprint covers the front end, the data set with its options and root, and the length of a clip, so
    that a changed setting cannot meet an old cache. Roles with the same front end share a folder.
    """
    data = config.data
    described = {
        "format": FORMAT,
        "mel": front_end_fields(config.teacher_mel if role == "teacher" else config.student_mel),
        "dataset": data.dataset,
        "root": data.root,
        "options": dict(data.options),
        "clip_seconds": data.clip_seconds,
    }
    text = json.dumps(described, sort_keys=True)
    return Path("features") / data.dataset / hashlib.sha256(text.encode()).hexdigest()[:12]


# Reading ---------------------------------------------------------------------------------------------------------


class MelCache:
    """A complete cache: `table` (its clips), `settings` (of the front end) and `shape` of a clip.

    Row r of the cache is row r of the table.
    """

    def __init__(
        self,
        folder: Path,
        table: ClipTable,
        settings: Mel,
        shape: tuple[int, ...],
        shards: Sequence[torch.Tensor],
    ) -> None:
        self.folder = folder
        self.table, self.settings, self.shape, self.shards = table, settings, shape, shards
        self.ends = np.cumsum([len(shard) for shard in shards])

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def open(cls, folder: Path) -> MelCache:
        """Raises UserError for a cache that is not there, incomplete, damaged, or not the clip table's."""
        again = "run make_mel.py with this configuration"
        try:
            described = json.loads((folder / "front_end.json").read_text())
        except FileNotFoundError:
            if any(folder.glob("shard_*")):
                raise UserError(f"{folder}: the cache is incomplete; {again} again") from None
            raise UserError(f"{folder}: no cache there; {again} first") from None
        except ValueError as error:
            raise UserError(f"{folder}/front_end.json: {error}; {again} again") from None
        for name, wanted in described["sha256"].items():
            if not (folder / name).is_file() or sha256_of(folder / name) != wanted:
                raise UserError(
                    f"{folder / name}: missing, or changed since the cache was made; {again} again"
                )
        shape, shards = tuple(described["shape"]), []
        for shard in described["shards"]:
            path = folder / shard["name"]
            found = path.stat().st_size if path.is_file() else 0
            if found != shard["bytes"]:
                raise UserError(
                    f"{path}: found {found} bytes, want {shard['bytes']}; {again} again"
                )
            if shard["clips"]:
                shards.append(map_shard(path, (shard["clips"], *shape)))
        return cls(folder, ClipTable.read(folder), Mel(**described["mel"]), shape, shards)

    def gather(self, rows: np.ndarray) -> torch.Tensor:
        """The clips of these rows, in this order. Shapes: (B,) -> (B, *shape) float16."""
        rows = np.asarray(rows)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a cache of {len(self)} clips")
        shard_of = np.searchsorted(self.ends, rows, side="right")
        features = torch.empty((len(rows), *self.shape), dtype=torch.float16)
        for index in np.unique(shard_of):
            shard, places = self.shards[index], np.flatnonzero(shard_of == index)
            local = torch.from_numpy(rows[places] - (self.ends[index] - len(shard)))
            if len(places) == len(rows):
                return torch.index_select(shard, 0, local)
            features[torch.from_numpy(places)] = torch.index_select(shard, 0, local)
        return features

    def read_all(self) -> torch.Tensor:
        """Every clip, in memory: (N, *shape) float16."""
        return torch.cat(list(self.shards))


def map_shard(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
    """The array of a .npy file, mapped: no file stays open, so that thousands of shards can be."""
    size = path.stat().st_size
    header = size - 2 * math.prod(shape)
    mapped = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    return mapped[header:].view(torch.float16).view(shape)


# Writing ---------------------------------------------------------------------------------------------------------


class CacheWriter:
    """Writes one cache, shard by shard, and keeps what an earlier run has finished.

    A shard holds a fixed number of clips of the table, a power of two, so that the shards of several caches of
    one table nest. Its identity covers id, path, start and length of its clips, and size and time of their
    files: a changed annotation or file makes stale exactly the shards that it touches. Clips that turn out bad
    are taken out of their shard when it is finished.
    """

    def __init__(
        self, folder: Path, settings: Mel, shape: tuple[int, ...], table: ClipTable, stamps: Stamps
    ) -> None:
        self.folder, self.settings, self.shape, self.table = folder, settings, shape, table
        self.stamps = stamps
        self.clip_bytes = 2 * math.prod(shape)
        self.shard_clips = 2 ** max(0, int(math.log2(SHARD_BYTES / self.clip_bytes)))
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def shards(self) -> int:
        return -(-len(self.table) // self.shard_clips)

    def path(self, shard: int, suffix: str = ".npy") -> Path:
        return self.folder / f"shard_{shard:05d}{suffix}"

    def rows(self, shard: int) -> range:
        """The rows of the table that a shard covers."""
        start = shard * self.shard_clips
        return range(start, min(start + self.shard_clips, len(self.table)))

    def identity(self, shard: int) -> str:
        rows = self.rows(shard)
        part = self.table.frame.iloc[rows.start : rows.stop]
        columns = (part.index, part["path"], part["start_seconds"], part["seconds"])
        digest = hashlib.sha256(repr((FORMAT, self.shape)).encode())
        for clip in zip(*columns, strict=True):
            digest.update(repr((*map(str, clip), self.stamps[clip[1]])).encode())
        return digest.hexdigest()

    def finished(self, shard: int) -> dict[str, Any] | None:
        """What is written beside a shard, if the shard is whole and was made from these very clips."""
        try:
            described = json.loads(self.path(shard, ".json").read_text())
            if described["bytes"] != self.path(shard).stat().st_size:
                return None
        except (OSError, ValueError):
            return None
        return described if described["identity"] == self.identity(shard) else None

    def begin(self, shard: int) -> tuple[Path, int]:
        """A file for the clips of a shard, and the byte at which the first one starts. Undoes an earlier mark."""
        (self.folder / "front_end.json").unlink(missing_ok=True)
        self.path(shard, ".json").unlink(missing_ok=True)
        part = self.path(shard, ".part")
        shape = (len(self.rows(shard)), *self.shape)
        with part.open("wb") as file:
            header = {"descr": "<f2", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            return part, file.tell()

    def finish(self, shard: int, bad: Iterable[BadClip] = ()) -> None:
        part, bad, rows = self.path(shard, ".part"), sorted(bad), self.rows(shard)
        if bad:
            ids = self.table.ids[rows.start : rows.stop]
            good = ~np.isin(ids, [clip.id for clip in bad])
            kept = np.load(part, mmap_mode="r")[good]
            with part.open("wb") as file:
                np.save(file, kept)
        described = {
            "identity": self.identity(shard),
            "clips": len(rows) - len(bad),
            "bytes": part.stat().st_size,
            "bad": bad,
        }
        replace(part, self.path(shard))
        write_json(self.path(shard, ".json"), described)

    def discard(self, shard: int) -> None:
        self.path(shard, ".part").unlink(missing_ok=True)

    def finalise(self, clip_seconds: float) -> bool:
        """Write the clip table and the mark of a complete cache; False where they were there already.

        All shards must be finished. Raises UserError where no clip is left.
        """
        shards = [described for k in range(self.shards) if (described := self.finished(k))]
        if len(shards) != self.shards:
            raise UserError(
                f"{self.folder}: {self.shards - len(shards)} shards changed while they were made; start again"
            )
        bad = [BadClip(*clip) for shard in shards for clip in shard["bad"]]
        good = ~np.isin(self.table.ids, [clip.id for clip in bad])
        if not good.any():
            raise UserError(f"{self.folder}: not one of {len(self.table)} clips is readable")
        mark = self.folder / "front_end.json"
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            fresh = Path(name)
            self.table.take(good).write(fresh)
            files = sorted(path.name for path in fresh.iterdir())
            described = {
                "mel": front_end_fields(self.settings),
                "clip_seconds": clip_seconds,
                "shape": list(self.shape),
                "clips": int(good.sum()),
                "bad_clips": len(bad),
                "sha256": {file: sha256_of(fresh / file) for file in files},
                "shards": [
                    {"name": self.path(k).name, "clips": s["clips"], "bytes": s["bytes"]}
                    for k, s in enumerate(shards)
                ],
            }
            if mark.is_file() and mark.read_text() == json.dumps(described, indent=1):
                return False
            mark.unlink(missing_ok=True)
            for file in files:
                replace(fresh / file, self.folder / file)
        write_bad_clips(self.folder, bad)
        known = {self.path(k, suffix) for k in range(self.shards) for suffix in (".npy", ".json")}
        for path in set(self.folder.glob("shard_*")) - known:
            path.unlink()
        write_json(mark, described)
        return True


Stamps = dict[str, tuple[int, int]]
"""Size in bytes and time of change in ns of each recording, by its path."""


def stamps_of(paths: Iterable[str]) -> Stamps:
    """A recording that is not there has the stamp (-1, -1)."""
    stamps = {}
    for path in set(paths):
        try:
            found = os.stat(path)
            stamps[path] = (found.st_size, found.st_mtime_ns)
        except OSError:
            stamps[path] = (-1, -1)
    return stamps


def write_rows(part: Path, offset: int, features: torch.Tensor) -> None:
    """Put clips (n, *shape) float16 at a byte of a shard that was begun; several processes may, side by side."""
    with part.open("r+b") as file:
        file.seek(offset)
        file.write(features.contiguous().numpy())


def write_bad_clips(folder: Path, bad: Iterable[BadClip]) -> None:
    fresh = folder / "bad_clips.csv.part"
    with fresh.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(BadClip._fields)
        writer.writerows(bad)
    replace(fresh, folder / "bad_clips.csv")


def write_json(path: Path, described: dict[str, Any]) -> None:
    fresh = path.with_name(path.name + ".part")
    fresh.write_text(json.dumps(described, indent=1))
    replace(fresh, path)


def replace(fresh: Path, path: Path) -> None:
    """Rename, once the bytes are on the disk."""
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(fresh, path)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
