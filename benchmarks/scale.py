"""Scaling with the number of clips: time per batch, bytes per clip, start-up.

    python -m benchmarks.scale

Caches of 1 k, 30 k and 1 M clips with tiny mels, AudioSet's 527 classes and three labels per clip,
in shards of 512 clips: as many shards as with mels of full size. Two roles open each cache. The
batches of 32 random training clips, with the features of both roles and targets, are read from the
memory map, without prefetching; the three sizes alternate batch by batch.

Bytes per clip are those of the arrays that a training holds: both tables (ids, split, fold, group,
sparse targets), the position of each clip in the cache, the training clips and their order.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import command_line, keep_cores, report
from benchmarks.synthetic import clip_table, write_cache
from data.features.mel_cache import MelCache
from data.loading.batches import Batch, Batches, ClipFeatures, DeviceTargets
from data.tables.columns import StoredColumns
from data.tables.splits import split_clips

CPU = torch.device("cpu")
CLASSES, LABELS, SHAPE, SHARD_CLIPS, BATCH = 527, 3, (1, 8, 8), 512, 32


class Opened:
    """A cache as a training of a student with a teacher opens it."""

    def __init__(self, folder: Path) -> None:
        began = time.perf_counter()
        self.caches = [MelCache.open(folder) for _ in ("teacher", "student")]
        table = self.caches[0].table
        self.features = {
            role: ClipFeatures(cache, table.ids, CPU, feature_memory_gb=0.0)
            for role, cache in zip(("teacher", "student"), self.caches, strict=True)
        }
        self.open_seconds = time.perf_counter() - began
        began = time.perf_counter()
        self.train = split_clips(table, 0, "held_out", 0.15).train
        self.split_seconds = time.perf_counter() - began
        targets = DeviceTargets(table.targets, CPU)
        self.batches = Batches(self.features, targets, self.train, BATCH, seed=0, prefetch=False)
        self.clips = len(table)

    def endless(self) -> Iterator[Batch]:
        for epoch in range(10**9):
            full_batches = len(self.train) // BATCH
            for number, batch in enumerate(self.batches.epoch(epoch)):
                if number < full_batches:
                    yield batch

    @property
    def index_bytes(self) -> int:
        tables = [cache.table for cache in self.caches]
        stored = [t.columns for t in tables if isinstance(t.columns, StoredColumns)]
        held = sum(column.nbytes for one in stored for column in one.in_memory.values())
        held += sum(table.targets.nbytes for table in tables)
        held += sum(cache.starts.nbytes for cache in self.caches)
        held += sum(one.position.nbytes for one in self.features.values())
        return held + 3 * self.train.nbytes  # the training clips: sorted, permuted, and positions


def batch_milliseconds(opened: dict[str, Opened], turns: int) -> dict[str, float]:
    """Median time of a batch; the first of an epoch, which shuffles, is not counted."""
    running = {name: one.endless() for name, one in opened.items()}
    times: dict[str, list[float]] = {name: [] for name in opened}
    for turn in range(turns):
        for name, batches in running.items():
            began = time.perf_counter()
            next(batches)
            if turn >= 10:  # warm
                times[name].append(time.perf_counter() - began)
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--clips", type=int, nargs=3, default=(1_000, 30_000, 1_000_000))
    parser.add_argument("--turns", type=int, default=1_000)
    arguments = parser.parse_args()
    keep_cores(2)
    names = ("1k", "30k", "1m")
    with tempfile.TemporaryDirectory(prefix="soundstill_") as folder:
        writing, opened = {}, {}
        for name, clips in zip(names, arguments.clips, strict=True):
            began = time.perf_counter()
            write_cache(Path(folder, name), clip_table(clips, CLASSES, LABELS), SHAPE, SHARD_CLIPS)
            writing[name] = time.perf_counter() - began
            opened[name] = Opened(Path(folder, name))
        milliseconds = batch_milliseconds(opened, arguments.turns)
        rows = [
            (
                *(f"{one.clips:,}", len(one.caches[0].shards), milliseconds[name]),
                *(
                    one.index_bytes / one.clips,
                    writing[name],
                    one.open_seconds,
                    one.split_seconds,
                ),
            )
            for name, one in opened.items()
        ]
    largest = opened["1m"]
    report(
        "scale",
        arguments,
        (
            "clips",
            "shards",
            "ms per batch",
            "bytes per clip",
            "s to write",
            "s to open",
            "s to split",
        ),
        rows,
        {
            **{f"batch_ms_{name}": value for name, value in milliseconds.items()},
            "batch_ms_1m_over_1k": milliseconds["1m"] / milliseconds["1k"],
            "index_bytes_per_clip": largest.index_bytes / largest.clips,
            "open_seconds_1m": largest.open_seconds,
            "clips": int(np.max(arguments.clips)),
        },
    )


if __name__ == "__main__":
    main()
