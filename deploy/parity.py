"""Whether an exported file says what the model says, on clips of the reported split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from config import Mel
from data.features.decode import decode
from data.features.front_end import pad_or_cut
from data.tables.clips import ClipTable
from deploy.onnx_file import logits
from deploy.whole import Whole

if TYPE_CHECKING:
    import onnxruntime

TOGETHER = 4  # clips
EAGER = "PyTorch"


def recordings(table: ClipTable, settings: Mel, clip_seconds: float) -> Iterator[np.ndarray]:
    """All clips of a table, decoded as make_mel.py does: (B, C, S) a batch. Raises BadAudio."""
    samples = round(clip_seconds * settings.sample_rate)
    columns = [table.columns[name] for name in ("path", "start_seconds", "seconds")]
    for first in range(0, len(table), TOGETHER):
        stretches = (column[first : first + TOGETHER].tolist() for column in columns)
        waveforms = [
            decode(
                Path(path),
                settings.sample_rate,
                settings.channels,
                start,
                min(clip_seconds, math.inf if math.isnan(seconds) else seconds),
            )
            for path, start, seconds in zip(*stretches, strict=True)
        ]
        yield np.stack([pad_or_cut(torch.from_numpy(w), samples).numpy() for w in waveforms])


def noise(settings: Mel, clip_seconds: float) -> np.ndarray:
    """What stands for recordings that are not there: one batch of clips, loud to faint."""
    shape = (TOGETHER, settings.channels, round(clip_seconds * settings.sample_rate))
    level = 0.1 ** np.arange(1, TOGETHER + 1)[:, None, None]
    return np.float32(level * np.random.default_rng(0).standard_normal(shape))


@torch.inference_mode()
def all_logits(
    whole: Whole,
    students: Mapping[str, onnxruntime.InferenceSession],
    batches: Iterable[np.ndarray],
) -> dict[str, np.ndarray]:
    """(N, K) of PyTorch, called EAGER, and of each student."""
    found: dict[str, list[np.ndarray]] = {EAGER: [], **{name: [] for name in students}}
    for waveforms in batches:
        found[EAGER].append(whole(torch.from_numpy(waveforms)).logits.numpy())
        for name, student in students.items():
            found[name].append(logits(student, waveforms))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def probabilities(values: np.ndarray, task: str) -> np.ndarray:
    """(N, K) logits -> float64."""
    tensor = torch.from_numpy(values).double()
    return (tensor.sigmoid() if task == "multi_label" else tensor.softmax(1)).numpy()
