"""A WAV file that comes through a pipe: its header, then its samples until they end."""

from __future__ import annotations

import struct
from io import BufferedIOBase
from typing import NamedTuple

from data.features.decode import UNKNOWN_LENGTH, BadAudio, cut_short

RIFF = b"RIFF"
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # format tags
KINDS = {(PCM, 16): "s16le", (PCM, 32): "s32le", (FLOAT, 32): "f32le"}
LONGEST_CHUNK = 2**20  # bytes before the samples


class PipedWav(NamedTuple):
    kind: str  # a key of deploy.recordings.RAW
    sample_rate: int  # Hz
    channels: int
    stream: BufferedIOBase  # its samples


class UpTo(BufferedIOBase):
    """The next `count` bytes of a stream: chunks of text may follow the samples.

    Raises BadAudio at the end of a stream that has fewer.
    """

    def __init__(self, stream: BufferedIOBase, count: int, name: str) -> None:
        self.stream, self.count, self.name = stream, count, name
        self.left = count

    def read1(self, size: int = -1, /) -> bytes:
        asked = min(size, self.left) if size >= 0 else self.left
        found = self.stream.read1(asked)
        self.left -= len(found)
        if asked and not found:
            raise cut_short(self.name, self.count, self.count - self.left)
        return found


def open_piped_wav(stream: BufferedIOBase, name: str) -> PipedWav:
    """Reads up to the samples. Raises BadAudio for another file, and for other kinds of samples."""
    head = stream.read(12)
    if len(head) < 12 or head[:4] != RIFF or head[8:] != b"WAVE":
        raise BadAudio(name, "this is not a WAV file")
    kind, rate, channels = "", 0, 0
    while len(chunk := stream.read(8)) == 8:
        title, size = struct.unpack("<4sI", chunk)
        if title == b"data" and kind:
            endless = size == 0 or size >= UNKNOWN_LENGTH  # written into a pipe
            return PipedWav(kind, rate, channels, stream if endless else UpTo(stream, size, name))
        if title == b"data" or size > LONGEST_CHUNK:
            break
        content = stream.read(size + size % 2)
        if title == b"fmt " and len(content) >= 16:
            tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
            if tag == EXTENSIBLE and len(content) >= 26:
                (tag,) = struct.unpack("<H", content[24:26])
            if (tag, bits) not in KINDS or not rate or not channels:
                found = f"found {bits} bits and format {tag} at {rate} Hz, {channels} channels"
                raise BadAudio(
                    name, f"{found}; of a piped WAV expected PCM of 16 or 32 bits, or float32"
                )
            kind = KINDS[tag, bits]
    raise BadAudio(name, "its WAV header is cut short or damaged")
