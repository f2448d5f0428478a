"""The audio of a clip, embedded in the page: mono, 16 kHz, 16 bit FLAC, a few seconds."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np

from data.features.decode import BadAudio, decode
from data.tables.clips import ClipTable
from report.section import Sound

RATE = 16_000  # Hz
MAX_SECONDS = 5.0  # at most 160 kB


def sound_of(table: ClipTable, row: int, clip_seconds: float) -> Sound:
    """The beginning of a clip, or the reason why the recording cannot be read."""
    column = {name: table.columns[name][row] for name in ("path", "start_seconds", "seconds")}
    length = np.nanmin([column["seconds"], clip_seconds])
    seconds = min(length, MAX_SECONDS)
    try:
        samples = decode(
            Path(str(column["path"])), RATE, 1, float(column["start_seconds"]), float(seconds)
        )
        data = data_uri(samples)
    except (BadAudio, ImportError) as error:  # a machine that only trains may lack a decoder
        return Sound(None, f"No sound: {error}.")
    return Sound(data, f"The first {seconds:g} s of {length:g} s." if seconds < length else "")


def data_uri(samples: np.ndarray) -> str:
    """(1, samples) in [-1, 1] -> data:audio/flac;base64,…"""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples.T, RATE, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(file.getvalue()).decode("ascii")
