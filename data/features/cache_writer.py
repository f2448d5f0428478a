"""Writes a cache shard by shard, and finds the shards that an earlier run has finished."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from config import Mel, UserError
from data.atomic_write import clear, unfinished, write
from data.checksums import Damaged, check_files, read_record, record_text, sha256_of, write_record
from data.features.containers import decoders
from data.features.mel_cache import FIX, front_end_fields
from data.tables.clips import FILES, ClipTable, files_of
from data.tables.formulas import as_text

SHARD_BYTES = 64 * 2**20
Stamps = dict[str, tuple[int, ...]]  # path of a recording -> its size in bytes, its time in ns
ABSENT = (-1, -1)  # the stamp of a missing recording


class BadClip(NamedTuple):
    """A line of bad_clips.csv."""

    id: str
    path: str
    reason: str


class CacheWriter:
    """One cache of the clips of `table`, whose features have `shape`; `sources` of the table, see
    `data.tables.sources`.

    A shard contains a fixed number of rows of the table: a power of two, so that the shards of the
    caches of one table nest. Its identity is a hash of id, path, start and length of its clips and
    the stamps of their files: a changed annotation or file invalidates only the shards that have
    it. Bad clips are removed from a shard when it is finished; that shard is computed again where
    other decoders are installed, see `decoders`.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mel,
        shape: tuple[int, ...],
        table: ClipTable,
        stamps: Stamps,
        sources: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder, self.settings, self.shape = folder, settings, shape
        self.table, self.stamps, self.sources = table, stamps, sources
        self.clip_bytes = 2 * math.prod(shape)
        self.shard_clips = 2 ** max(0, int(math.log2(SHARD_BYTES / self.clip_bytes)))
        self.shards = -(-len(table) // self.shard_clips)
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, shard: int, suffix: str = ".npy") -> Path:
        return self.folder / f"shard_{shard:05d}{suffix}"

    def rows(self, shard: int) -> range:
        start = shard * self.shard_clips
        return range(start, min(start + self.shard_clips, len(self.table)))

    def identity(self, shard: int, bad: Sequence[Any]) -> str:
        rows = self.rows(shard)
        columns = [
            self.table.columns[name][rows.start : rows.stop].tolist()
            for name in ("id", "path", "start_seconds", "seconds")
        ]
        digest = hashlib.sha256(repr(self.shape).encode())
        for name, path, start, seconds in zip(*columns, strict=True):
            clip = (name, path, start, seconds, *self.stamps[path])
            digest.update(repr(clip).encode())
        if bad:
            digest.update(repr(decoders()).encode())
        return digest.hexdigest()

    def finished(self, shard: int) -> dict[str, Any] | None:
        """The description of a shard, if that is complete and was computed from these clips."""
        try:
            described = read_record(self.path(shard, ".json"), FIX)
            complete = described["bytes"] == self.path(shard).stat().st_size
            same = complete and described["identity"] == self.identity(shard, described["bad"])
            return described if same else None
        except (OSError, Damaged, KeyError):
            return None

    def undamaged(self, shard: int) -> dict[str, Any] | None:
        """`finished`, if the features are also the bytes that were written: reads all of them."""
        described = self.finished(shard)
        try:
            if described:
                check_files(self.folder, described["files"], "it is computed again")
            return described
        except Damaged as damaged:
            print(damaged)
            return None

    def part(self, shard: int) -> Path:
        """Where this process writes a shard."""
        return unfinished(self.path(shard), os.getpid())

    def begin(self, shard: int) -> tuple[Path, int]:
        """A file for the clips of a shard and the byte where the first one starts.

        Removes the marks of an earlier shard and of a complete cache.
        """
        (self.folder / "front_end.json").unlink(missing_ok=True)
        self.path(shard, ".json").unlink(missing_ok=True)
        part, shape = self.part(shard), (len(self.rows(shard)), *self.shape)
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        with part.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            return part, file.tell()

    def finish(self, shard: int, bad: Iterable[BadClip] = ()) -> None:
        part, bad, rows = self.part(shard), sorted(bad), self.rows(shard)
        if bad:
            good = good_rows(self.table.ids[rows.start : rows.stop], bad)
            kept = np.load(part)[good]
            with part.open("wb") as file:
                np.save(file, kept)
        described = {
            "identity": self.identity(shard, bad),
            "clips": len(rows) - len(bad),
            "bytes": part.stat().st_size,
            "bad": bad,
        }
        files = {self.path(shard).name: sha256_of(part)}
        put(part, self.path(shard))
        write_record(self.path(shard, ".json"), described, files)

    def discard(self, shard: int) -> None:
        self.part(shard).unlink(missing_ok=True)

    def finalise(self) -> bool:
        """Write the clip table and the mark of a complete cache; False where nothing changed.

        Raises UserError for an unfinished shard and where no clip is left.
        """
        shards = [described for k in range(self.shards) if (described := self.finished(k))]
        if len(shards) < self.shards:
            raise UserError(f"{self.folder}: {self.shards - len(shards)} shards are unfinished")
        bad = [BadClip(*clip) for shard in shards for clip in shard["bad"]]
        good = good_rows(self.table.ids[:], bad)
        if not good.any():
            raise UserError(f"{self.folder}: none of the {len(good)} clips can be read")
        fresh = self.folder / "fresh"
        fresh.mkdir(exist_ok=True)
        self.table.take(good).write(fresh)
        described = {
            "fingerprint": self.folder.name,
            "mel": front_end_fields(self.settings),
            "shape": self.shape,
            "clips": int(good.sum()),
            "sources": dict(self.sources),
            "shards": [
                {"name": self.path(k).name, "clips": shard["clips"], "bytes": shard["bytes"]}
                for k, shard in enumerate(shards)
                if shard["clips"]
            ],
        }
        files = {name: sha256_of(fresh / name) for name in FILES}
        for shard in shards:
            files |= shard["files"] if shard["clips"] else {}
        mark, text = self.folder / "front_end.json", record_text(described, files)
        changed = not mark.is_file() or mark.read_bytes() != text.encode()
        if changed:
            mark.unlink(missing_ok=True)
        write_bad_clips(self.folder, bad)
        for name in FILES:
            put(fresh / name, self.folder / name)
        for leftover in fresh.iterdir():
            leftover.unlink()
        fresh.rmdir()
        known = {self.path(k, suffix) for k in range(self.shards) for suffix in (".npy", ".json")}
        for leftover in set(self.folder.glob("shard_*")) - known:
            leftover.unlink()
        clear(self.folder)
        if changed:
            write(mark, text)
        return changed


def good_rows(ids: np.ndarray, bad: Iterable[BadClip]) -> np.ndarray:
    """(N,) bool. `np.isin` compares each text with each."""
    bad_ids = {clip.id for clip in bad}
    return np.array([name not in bad_ids for name in ids.tolist()])


def stamps_of(paths: Iterable[str]) -> Stamps:
    stamps = {}
    for path in set(paths):
        try:
            found = map(os.stat, files_of(path))
            stamps[path] = tuple(n for file in found for n in (file.st_size, file.st_mtime_ns))
        except OSError:
            stamps[path] = ABSENT
    return stamps


def write_rows(part: Path, offset: int, features: Tensor) -> None:
    """Write clips (n, *shape) float16 at an offset of a shard, which other processes may extend."""
    with part.open("r+b", buffering=0) as file:
        file.seek(offset)
        left = features.contiguous().numpy().data.cast("B")
        while left:
            left = left[file.write(left) :]


def write_bad_clips(folder: Path, bad: Iterable[BadClip]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([BadClip._fields, *(map(as_text, clip) for clip in bad)])
    path, content = folder / "bad_clips.csv", text.getvalue()
    if not path.is_file() or path.read_bytes() != content.encode():
        write(path, content)


def put(fresh: Path, path: Path) -> None:
    """Rename a file once its bytes are on disk."""
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(fresh, path)
