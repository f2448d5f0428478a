"""Features on disk: one folder per front end, with float16 shards that training memory-maps.

    features/<data set>/<fingerprint>/
        shard_00000.npy   (clips, C, T, F), or (clips, C, S) of waveforms
        shard_00000.json  a hash of its clips and its checksum: the mark that it is finished
        clips.csv, classes.json, bad_clips.csv; clips.npz, the same table as arrays
        front_end.json    the checksums of all of these: the mark that the cache is complete

Written by data/features/cache_writer.py, each file atomically.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from config import Config, Mel, UserError
from data.checksums import Damaged, check_files, read_finished, sha256_of_text
from data.tables.clips import FILES, ClipTable
from data.tables.sources import check_unchanged

NORMALISATION = ("normalise", "mean", "std")
UNSET = {"log_floor": 0.0, "top_db": 0.0}  # newer keys, not recorded: older caches are still found
FORMAT = 1  # increased whenever the same settings give other bytes
FIX = "run make_mel.py with this configuration"


def front_end_fields(settings: Mel) -> dict[str, Any]:
    """The settings that the features depend on; normalisation happens in training."""
    kept = {
        k: v for k, v in asdict(settings).items() if k not in NORMALISATION and v != UNSET.get(k)
    }
    if settings.front_end == "waveform":
        kept = {k: kept[k] for k in ("front_end", "sample_rate", "channels", "pre_emphasis")}
    return kept


def cache_folder(config: Config, role: str) -> Path:
    """features/<data set>/<fingerprint>, below the working directory, of "teacher" or "student".

    The fingerprint covers the front end, the data set with its root and options, and the length of
    a clip: a changed setting never finds an old cache. Roles with one front end share a folder.
    """
    data = config.data
    described = {
        "format": FORMAT,
        "mel": front_end_fields(config.mel_of(role)),
        "dataset": data.dataset,
        "root": data.root,
        "options": dict(data.options),
        "clip_seconds": data.clip_seconds,
    }
    text = json.dumps(described, sort_keys=True)
    return Path("features") / data.dataset / hashlib.sha256(text.encode()).hexdigest()[:12]


def recordings_folder(config: Config, role: str) -> Path:
    """The folder of the features of the full recordings that training crops."""
    folder = cache_folder(config, role)
    return folder.with_name(f"{folder.name}_recordings")


class MelCache:
    """A complete cache: row r has the features of row r of `table`; all clips have one `shape`.

    `settings` are those of the front end that made it (without normalisation), `files` the names of
    its files and their SHA-256, `sources` those of the files that the table was read from.
    """

    def __init__(
        self,
        folder: Path,
        table: ClipTable,
        settings: Mel,
        shape: tuple[int, ...],
        shards: Sequence[Tensor],
        files: Mapping[str, str] = MappingProxyType({}),
        sources: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.folder, self.table, self.settings = folder, table, settings
        self.shape, self.shards, self.files, self.sources = shape, shards, files, sources
        self.starts = np.cumsum([0, *(len(shard) for shard in shards)])[:-1]

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def open(cls, folder: Path) -> MelCache:
        """Raises UserError for a missing, incomplete or damaged cache.

        Of the shards only the sizes are checked here, see `check`.
        """
        mark = folder / "front_end.json"
        if not mark.exists():
            if any(folder.glob("shard_*")):
                raise UserError(f"{folder}: the cache is incomplete; {FIX} again")
            raise UserError(f"{folder}: no cache there; {FIX} first")
        described = read_finished(mark, f"{FIX} again", FILES)
        if described["fingerprint"] != folder.name:
            raise UserError(
                f"{folder}: this is the cache of another front end, {described['fingerprint']}"
            )
        shape, files = tuple(described["shape"]), described["files"]
        shards = [map_shard(folder / shard["name"], shard, shape) for shard in described["shards"]]
        try:
            settings = Mel(**described["mel"])
        except TypeError:  # it has other keys
            raise Damaged(f"{mark}: of another version; {FIX} again") from None
        sources = described["sources"]
        return cls(folder, ClipTable.read(folder), settings, shape, shards, files, sources)

    def check(self, share: int = 0, shares: int = 1) -> None:
        """Read all features, or every `shares`-th shard: a file may change while nobody uses it.

        Raises UserError that names a damaged shard, or a file of labels that was edited later.
        """
        check_unchanged(self.sources, f"{FIX} again")
        names = sorted(name for name in self.files if name not in FILES)[share::shares]
        check_files(self.folder, {name: self.files[name] for name in names}, f"{FIX} again")

    def fingerprints(self) -> dict[str, str]:
        """Of the front end, of the clip table with its labels, and of the features, by content."""
        shards = {name: sha for name, sha in self.files.items() if name not in FILES}
        return {
            "front end": self.folder.name,
            "clips.csv": self.files["clips.csv"],
            "shards": sha256_of_text(json.dumps(shards, sort_keys=True)),
        }

    def gather(self, rows: np.ndarray, *, pinned: bool = False) -> Tensor:
        """The clips of these rows, in this order. Shapes: (B,) -> (B, *shape) float16.

        `pinned`: in page-locked memory, from which a GPU copies while it computes.
        """
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a cache of {len(self)} clips")
        shards = np.searchsorted(self.starts, rows, side="right") - 1
        places = zip(shards.tolist(), (rows - self.starts[shards]).tolist(), strict=True)
        # Stacking views is faster than one index_select per shard, for one shard and for many.
        clips = [self.shards[shard][row] for shard, row in places]
        found = torch.empty((len(rows), *self.shape), dtype=torch.float16, pin_memory=pinned)
        return torch.stack(clips, out=found) if clips else found

    def read_all(self) -> Tensor:
        """Every clip, in memory: (N, *shape) float16."""
        return torch.cat(list(self.shards))


def map_shard(path: Path, described: dict[str, Any], shape: tuple[int, ...]) -> Tensor:
    """The memory-mapped array of a .npy file; the file is closed: there may be thousands."""
    if not path.is_file():
        raise UserError(f"{path}: missing; {FIX} again")
    size = path.stat().st_size
    if size != described["bytes"]:
        raise UserError(f"{path}: found {size} bytes, expected {described['bytes']}; {FIX} again")
    shape = (described["clips"], *shape)
    mapped = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    return mapped[size - 2 * math.prod(shape) :].view(torch.float16).view(shape)
