"""The front end of a student as sizes and tables of deploy/c/front_end.h and spectrum.h."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from config import UserError
from data.features.front_end import FrontEnd, log_floor
from deploy.c_source import GENERATED, array
from models.stored import Description

LOG_SCALES = {"none": 0.0, "natural": 1.0, "log10": 1 / math.log(10), "decibel": 10 / math.log(10)}


class CFrontEnd(NamedTuple):
    sizes: dict[str, Any]  # macros by name
    tables: dict[str, np.ndarray]  # by name
    scratch: dict[str, int]  # sizes of its buffers in the arena, before the model runs

    def source(self) -> str:
        definitions = [array(name, values, static=False) for name, values in self.tables.items()]
        includes = '#include "front_end.h"\n#include "spectrum.h"\n'
        return "\n".join([GENERATED + includes, *definitions])


def c_front_end(described: Description) -> CFrontEnd:
    """Raises UserError for a student of raw waveforms, for stereo and for TOP_DB."""
    settings = described.front_end
    for found, name, expected in (
        (settings.front_end, "FRONT_END", "mel"),
        (settings.channels, "CHANNELS", 1),
        (settings.top_db, "TOP_DB", 0),
    ):
        if found != expected:
            raise UserError(f"--format c supports only [mel] {name} = {expected}, found {found}")
    front_end = FrontEnd(settings)
    size, window = front_end.fft_size, front_end.window_length
    is_fast = size >= 4 and size & (size - 1) == 0
    angles = 2 * np.pi * np.arange(size // 2 if is_fast else size) / size
    first, counts, weights = sparse(front_end.filters.numpy().T)
    _, frames, bands = described.input_shape
    sizes: dict[str, Any] = {
        "FRAMES": frames,
        "BANDS": bands,
        "WINDOW_LENGTH": window,
        "HOP_LENGTH": front_end.hop_length,
        "REFLECTED": window - window // 2 if front_end.centred else 0,
        "LOST": front_end.lost,
        "KALDI": int(settings.framing == "kaldi"),
        "PRE_EMPHASIS": np.float32(settings.pre_emphasis),
        "FFT_SIZE": size,
        "FFT_IS_FAST": int(is_fast),
        "TURN": len(angles),
        "POWER_SPECTRUM": int(settings.spectrum == "power"),
        "MEL_WEIGHTS": len(weights),
        "LOG_SCALE": np.float32(LOG_SCALES[settings.log]),
        "LOG_OFFSET": np.float32(settings.log_offset),
        "LOG_FLOOR": np.float32(log_floor(settings)),
    }
    tables: dict[str, np.ndarray] = {
        "front_end_window": front_end.window.numpy(),
        "front_end_spectrum_cosines": np.cos(angles).astype(np.float32),
        "front_end_spectrum_sines": np.sin(angles).astype(np.float32),
        "front_end_mel_first": first,
        "front_end_mel_count": counts,
        "front_end_mel_weights": weights,
        "front_end_mel_mean": np.broadcast_to(np.array(described.mean, np.float32), bands),
        "front_end_mel_std": np.broadcast_to(np.array(described.std, np.float32), bands),
    }
    scratch = {"RING": window, "FRAME": size, "BINS": size // 2 + 1}
    return CFrontEnd(sizes, tables, scratch)


def sparse(filters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(F, bins) -> the first bin of each filter, its number of bins, and all weights in a row."""
    first, counts, weights = [], [], []
    for row in filters:
        used = np.flatnonzero(row)
        start, end = (used[0], used[-1] + 1) if len(used) else (0, 0)
        first.append(start)
        counts.append(end - start)
        weights.append(row[start:end])
    return np.array(first, np.int32), np.array(counts, np.int32), np.concatenate(weights)
