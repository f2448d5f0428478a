"""Sources of recordings: files, folders, and a pipe of raw samples or a WAV file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BufferedIOBase, BufferedReader
from pathlib import Path

import numpy as np

from config import UserError
from data.features.containers import ENDINGS, file_kind
from data.features.decode import READABLE, BadAudio, up_to_fault
from deploy.piped_wav import RIFF, open_piped_wav

PIPE, STDIN = "-", "/dev/stdin"
RAW = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}  # ffmpeg's names


def find_recordings(names: Iterable[str]) -> list[str]:
    """Files and PIPE as given; a folder is replaced by all recordings below it, sorted.

    The contents of files are not checked here. Raises UserError for a folder without recordings.
    """
    found = []
    for name in names:
        path = Path(name)
        if name == STDIN:
            found.append(PIPE)
            continue
        if name == PIPE or not path.is_dir():
            found.append(name)
            continue
        below = [p for p in sorted(path.rglob("*")) if is_recording(p.relative_to(path))]
        if not below:
            raise UserError(f"{path}: no recordings in this folder")
        found += [str(p) for p in below]
    return found


def is_recording(path: Path) -> bool:
    """By its name. Hidden files, such as the ._a.wav of macOS, are not. Without PyAV those of
    ENDINGS are reported, not left out.
    """
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in READABLE + ENDINGS and not hidden


def piped_blocks(
    stream: BufferedReader, kind: str | None, rate: int | None, channels: int | None, usual: int
) -> Iterator[tuple[np.ndarray, int]]:
    """As `raw_blocks`; of a WAV file, if none of its format is given. `usual`: the default rate.

    Raises BadAudio for other files.
    """
    beginning, is_described = stream.peek(), (kind, rate, channels) != (None, None, None)
    if beginning.startswith(RIFF) and not is_described:
        wav = open_piped_wav(stream, PIPE)
        yield from raw_blocks(wav.stream, wav.kind, wav.sample_rate, wav.channels)
        return
    if found := file_kind(beginning):
        expected = "raw samples" if is_described else "raw samples or a WAV file"
        raise BadAudio(PIPE, f"this is {found}; expected {expected}")
    yield from raw_blocks(stream, kind or "s16le", rate or usual, channels or 1)


def raw_blocks(
    stream: BufferedIOBase, kind: str, rate: int, channels: int
) -> Iterator[tuple[np.ndarray, int]]:
    """(samples, channels) float32 in [-1, 1] and their rate, as soon as they arrive.

    Raises BadAudio for a pipe without samples, or with samples that are not finite.
    """
    sample = np.dtype(RAW[kind])
    scale = np.float32(2.0 ** (1 - 8 * sample.itemsize) if sample.kind == "i" else 1.0)
    size, rest, done = sample.itemsize * channels, b"", 0
    while chunk := next_chunk(stream):
        rest += chunk
        frames = len(rest) // size
        block = np.frombuffer(rest, sample, frames * channels).reshape(-1, channels) * scale
        rest = rest[frames * size :]
        if frames:
            yield from up_to_fault(PIPE, block.astype(np.float32, copy=False), rate, done)
        done += frames
    if not done:
        raise BadAudio(PIPE, "no samples came through the pipe")


def next_chunk(stream: BufferedIOBase) -> bytes:
    """The available bytes; empty at the end. Ctrl-C ends a pipe too: the last window is still
    processed.
    """
    try:
        return stream.read1(2**16)
    except KeyboardInterrupt:
        return b""
