"""Runs that are trained in the process within a second: eight clips in two folds, on tiny mels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from config import Config, load
from data.features.cache_writer import CacheWriter, stamps_of, write_rows
from data.features.mel_cache import cache_folder
from data.tables.clips import Clip, ClipTable

CONFIG = """
[data]
DATASET = csv_folder
TASK = single_label
HOLD_OUT = 0
[mel]
SAMPLE_RATE = 8000
MEL_MAX_HZ = 4000
NUM_BANDS = 8
[teacher]
MODEL = dcase_small
WIDTH_MULT = 0.25
EPOCHS = 1
LEARNING_RATE = 0.003
[student]
MODEL = dcase_small
WIDTH_MULT = 0.25
EPOCHS = 2
LEARNING_RATE = 0.003
BATCH_SIZE = 2
[distillation]
VARIANTS = ce+kd
[run]
DEVICE = cpu
"""
IDS = [f"{n}.wav" for n in range(8)]
LABELS = ["ab"[n % 2] for n in range(8)]


def settings(name: str, *overrides: str) -> Config:
    """Of the run `name`, in the working folder."""
    Path("config.ini").write_text(CONFIG)
    return load(Path("config.ini"), (f"run.name={name}", *overrides))


def write_caches(labelled: Sequence[int] = range(8), louder: float = 0.0) -> None:
    """Clip n is of fold 1 + n // 4; an even one is low, an odd one high. Those that are not
    `labelled` have no label. Other recordings, under the same names, are `louder`.
    """
    Path("audio").mkdir(exist_ok=True)
    for name in IDS:
        Path("audio", name).write_bytes(b"sound")
    clips = [
        Clip(
            id=name,
            path=Path("audio", name),
            labels={LABELS[n]: 1.0} if n in labelled else None,
            fold=1 + n // 4,
            group=name,
        )
        for n, name in enumerate(IDS)
    ]
    table = ClipTable.of(clips, ("a", "b"), "single_label")
    features = np.random.default_rng(0).normal(size=(8, 1, 16, 8)) * 0.3
    features[::2, :, :, :4] += 2
    features[1::2, :, :, 4:] += 2
    write_features(settings("any"), table, features + louder)


def write_features(config: Config, table: ClipTable, features: np.ndarray) -> None:
    """Shapes: features (N, 1, T, F), of the clips of the table."""
    for role in ("teacher", "student"):
        writer = CacheWriter(
            cache_folder(config, role),
            config.mel_of(role),
            features.shape[1:],
            table,
            stamps_of(table.frame["path"]),
        )
        part, offset = writer.begin(0)
        write_rows(part, offset, torch.as_tensor(features).half())
        writer.finish(0)
        writer.finalise()
