"""Synthetic data sets and caches of noise, written by the cache writer."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from config import Mel
from data.features import cache_writer
from data.features.cache_writer import CacheWriter, Stamps, write_rows
from data.features.mel_cache import MelCache
from data.tables.clips import ClipTable
from data.tables.columns import Column
from data.tables.targets import Targets

CLIPS_PER_SENSOR = 100


def clip_table(clips: int, classes: int, labels: int, seed: int = 0) -> ClipTable:
    """Clips with names like AudioSet's, each with `labels` of `classes` and a sensor as group."""
    generator = np.random.default_rng(seed)
    numbers = range(clips)
    # Distinct labels per clip: a first one, and increments of less than classes / labels.
    steps = generator.integers(1, max(2, classes // labels), (clips, labels))
    present = np.sort((generator.integers(classes, size=(clips, 1)) + steps.cumsum(1)) % classes, 1)
    columns = {
        "id": Column.of(f"{n:011d}_30000.wav" for n in numbers),
        "path": Column.of(f"audio/synthetic/{n:011d}_30000.wav" for n in numbers),
        "split": Column.of(("train", "train", "train", "validate", "test")[n % 5] for n in numbers),
        "fold": Column.of(0 for _ in numbers),
        "group": Column.of(f"sensor_{n % 5}_{n // 5 // CLIPS_PER_SENSOR:08d}" for n in numbers),
        "start_seconds": Column.of(0.0 for _ in numbers),
        "seconds": Column.of(np.nan for _ in numbers),
    }
    rows = np.repeat(np.arange(clips), labels)
    targets = Targets.of_pairs(rows, present.reshape(-1), (clips, classes))
    return ClipTable(columns, targets, [f"class {k}" for k in range(classes)], "multi_label")


def write_cache(
    folder: Path, table: ClipTable, shape: tuple[int, ...], shard_clips: int
) -> MelCache:
    """A complete cache of noise with `shard_clips` clips per shard, a power of two.

    It is temporary, so its files are not flushed to the disk.
    """
    shard_bytes = shard_clips * 2 * int(np.prod(shape))
    generator = torch.Generator().manual_seed(0)
    with (
        patch.object(cache_writer, "SHARD_BYTES", shard_bytes),
        patch.object(cache_writer, "put", os.replace),
    ):
        stamps: Stamps = defaultdict(lambda: (-1, -1))
        writer = CacheWriter(folder, Mel(num_bands=shape[-1]), shape, table, stamps)
        for shard in range(writer.shards):
            part, offset = writer.begin(shard)
            count = len(writer.rows(shard))
            write_rows(part, offset, torch.randn(count, *shape, generator=generator).half())
            writer.finish(shard)
        writer.finalise()
    return MelCache.open(folder)
