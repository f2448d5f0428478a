"""Where recordings come from: files, folders, and a pipe of raw samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from config import UserError
from data.features.decode import BadAudio, up_to_fault

READ = (".wav", ".wave", ".bwf", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3")
READ += (".aif", ".aiff", ".aifc", ".au", ".snd", ".caf")
UNREAD = (".m4a", ".mp4", ".aac", ".wma", ".amr", ".webm")  # not passed over in silence
PIPE = "-"
RAW = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}  # the names that ffmpeg gives them
HEADS = (b"RIFF", b"fLaC", b"OggS", b"FORM", b"ID3")


def find_recordings(names: Iterable[str]) -> list[str]:
    """Files and PIPE as they are named; of a folder all recordings below it, in order.

    What a file is in truth is found out when it is read. Raises UserError for an empty folder.
    """
    found = []
    for name in names:
        path = Path(name)
        if name == PIPE or not path.is_dir():
            found.append(name)
            continue
        below = [p for p in sorted(path.rglob("*")) if is_recording(p.relative_to(path))]
        if not below:
            raise UserError(f"{path}: no recordings in this folder")
        found += [str(p) for p in below]
    return found


def is_recording(path: Path) -> bool:
    """By its name. Hidden ones, such as the ._a.wav of a Mac, are none."""
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in READ + UNREAD and not hidden


def raw_blocks(
    stream: BufferedIOBase, kind: str, rate: int, channels: int
) -> Iterator[tuple[np.ndarray, int]]:
    """(samples, channels) float32 in [-1, 1] and their rate, as soon as they come.

    Raises BadAudio for a pipe without samples, with those that are not finite, or with a header.
    """
    kind = np.dtype(RAW[kind])
    scale = np.float32(2.0 ** (1 - 8 * kind.itemsize) if kind.kind == "i" else 1.0)
    size, rest, done = kind.itemsize * channels, b"", 0
    while chunk := next_chunk(stream):
        if not done and chunk.startswith(HEADS):
            raise BadAudio(PIPE, "this is a file with a header; want its samples alone")
        rest += chunk
        frames = len(rest) // size
        block = np.frombuffer(rest, kind, frames * channels).reshape(-1, channels) * scale
        rest = rest[frames * size :]
        if frames:
            yield from up_to_fault(PIPE, block.astype(np.float32, copy=False), rate, done)
        done += frames
    if not done:
        raise BadAudio(PIPE, "no samples came through the pipe")


def next_chunk(stream: BufferedIOBase) -> bytes:
    """What there is; nothing at the end, which is also how Ctrl-C ends a pipe: the last window is
    still heard.
    """
    try:
        return stream.read1(2**16)
    except KeyboardInterrupt:
        return b""
