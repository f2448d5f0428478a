"""The logits of exported files and of PyTorch, on clips of the test set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from config import Mel
from data.features.decode import decode
from data.features.front_end import pad_or_cut
from data.tables.clips import ClipTable
from deploy.full_model import FullModel
from models.output import probabilities_of

BATCH_CLIPS = 4
EAGER = "PyTorch"


def recordings(table: ClipTable, settings: Mel, clip_seconds: float) -> Iterator[np.ndarray]:
    """Batches (B, C, S) of all clips of a table, decoded as in make_mel.py. Raises BadAudio."""
    samples = round(clip_seconds * settings.sample_rate)
    columns = [table.columns[name] for name in ("path", "start_seconds", "seconds")]
    for first in range(0, len(table), BATCH_CLIPS):
        segments = (column[first : first + BATCH_CLIPS].tolist() for column in columns)
        waveforms = [
            decode(
                Path(path),
                settings.sample_rate,
                settings.channels,
                start,
                min(clip_seconds, math.inf if math.isnan(seconds) else seconds),
            )
            for path, start, seconds in zip(*segments, strict=True)
        ]
        yield np.stack([pad_or_cut(torch.from_numpy(w), samples).numpy() for w in waveforms])


def noise(settings: Mel, clip_seconds: float) -> np.ndarray:
    """A substitute for missing recordings: one batch of clips, from loud to faint."""
    shape = (BATCH_CLIPS, settings.channels, round(clip_seconds * settings.sample_rate))
    level = 0.1 ** np.arange(1, BATCH_CLIPS + 1)[:, None, None]
    return (level * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


@torch.inference_mode()
def all_logits(
    full_model: FullModel,
    students: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    batches: Iterable[np.ndarray],
) -> dict[str, np.ndarray]:
    """Logits (N, K) of PyTorch, under the name EAGER, and of each student, (B, C, S) -> (B, K)."""
    found: dict[str, list[np.ndarray]] = {EAGER: [], **{name: [] for name in students}}
    for waveforms in batches:
        found[EAGER].append(full_model(torch.from_numpy(waveforms)).logits.numpy())
        for name, student in students.items():
            found[name].append(student(waveforms))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def probabilities(values: np.ndarray, task: str) -> np.ndarray:
    """(N, K) logits -> float64."""
    return probabilities_of(torch.from_numpy(values).double(), task).numpy()
