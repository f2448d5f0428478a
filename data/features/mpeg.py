"""The frames of an MPEG audio file (MP3), counted.

A decoder takes the length of such a file from an optional header, which is that of the first of
several concatenated files, or estimates it from the first bit rate.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product

MPEG_1, LAYER_1, LAYER_3 = 3, 3, 1  # codes in the header of a frame
LARGEST_RATE = 14 << 4
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
KBPS = {  # of the codes 1 to 14, by (MPEG 1, code of the layer)
    (True, 3): range(32, 449, 32),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
SPARE_FRAMES = 2  # encoders differ in what they count
LONGEST_GAP = 1024  # bytes of a damaged place, after which libmpg123 goes on
NEXT = re.compile(rb"\xff[\xe0-\xff]|ID3|APETAGEX")


def frame_sizes() -> dict[bytes, int]:
    """Bytes of a frame by the first three bytes of its header.

    Source: ISO/IEC 11172-3 and 13818-3, 2.4.2.3 and 2.4.3.1.
    """
    sizes = {}
    bits = (RATES, (1, 2, 3), (0, 1), range(1, 15), (0, 1, 2), (0, 1), (0, 1))
    for version, layer, no_crc, code, rate_code, padded, private in product(*bits):
        eighths = 12 if layer == 3 else 72 if (version, layer) in ((2, 1), (0, 1)) else 144
        rate, kbps = RATES[version][rate_code], KBPS[version == MPEG_1, layer][code - 1]
        slot = 4 if layer == 3 else 1
        header = (0xFF, 0xE0 | version << 3 | layer << 1 | no_crc)
        last = code << 4 | rate_code << 2 | padded << 1 | private
        sizes[bytes((*header, last))] = slot * (eighths * 1000 * kbps // rate + padded)
    return sizes


SIZES = frame_sizes()


Kind = tuple[int, int, bool]  # version and layer, rate, whether it is mono


@dataclass(slots=True)
class Stream:
    """Frames of one kind: what one encoder wrote."""

    kind: Kind
    start: int  # byte
    end: int
    promised: int | None  # frames, by the header of the length; None: there is none
    frames: list[int] = field(default_factory=list)  # where each starts, without that header's
    header_end: int = -1  # byte after that header; -1: there is none, or the decoder ignores it

    @property
    def is_counted(self) -> bool:
        """The decoder knows the length, or finds that the file is cut: more is promised."""
        return self.frames[0] == self.header_end and not self.has_more

    @property
    def has_more(self) -> bool:
        return self.promised is not None and len(self.frames) - self.promised > SPARE_FRAMES

    def split(self) -> list[Stream]:
        """Frames beyond those that the header promises are another stream, without a header."""
        if self.promised is None or not self.has_more:
            return [self]
        second = self.frames[self.promised]
        return [
            replace(self, end=second, frames=self.frames[: self.promised]),
            Stream(self.kind, second, self.end, None, self.frames[self.promised :]),
        ]


def find_streams(data: bytes) -> list[Stream]:
    """The streams of a file, one after the other; tags and other bytes may lie between them.

    A file of free format has none: its frames do not declare their size.
    """
    streams: list[Stream] = []
    for start, end in frames(data):
        promised = promised_frames(data, start, end)
        kind = kind_of(data, start)
        last = streams[-1] if streams and promised is None else None
        if not last or kind != last.kind or start > last.end + LONGEST_GAP:
            streams.append(last := Stream(kind, start, end, promised))
            if promised is not None and not any(data[start + 6 : header_place(data, start)]):
                last.header_end = end
        if promised is None:
            last.frames.append(start)
        last.end = end
    return [part for stream in streams for part in stream.split() if part.frames]


def longest_gap(data: bytes, streams: Iterable[Stream]) -> int:
    """Bytes before a stream without its length that are neither frames nor tags, if that many are
    no damage that a decoder passes over: of frames before them none can be known.
    """
    longest, end = 0, 0
    for stream in streams:
        while end < stream.start and (tag := tag_size(data, end)):
            end += tag
        if stream.promised is None:
            longest = max(longest, stream.start - end)
        end = stream.end
    return longest if longest > LONGEST_GAP else 0


def kind_of(data: bytes, start: int) -> Kind:
    return data[start + 1] & 0xFE, data[start + 2] & 0x0C, is_mono(data, start)


def is_mono(data: bytes, start: int) -> bool:
    return data[start + 3] >> 6 == 3


def frames(data: bytes) -> Iterator[tuple[int, int]]:
    """(first byte, end) of each frame. After other bytes, two have to follow one another; they may
    start within the last frame, which is then cut.
    """
    start, last, in_step = 0, 0, False
    while 0 <= start <= len(data) - 4:
        size = SIZES.get(data[start : start + 3], 0)
        end = start + size
        if size and end <= len(data) and (in_step or is_followed(data, start, end)):
            yield start, end
            start, last, in_step = end, start, True
        elif tag := tag_size(data, start):
            start, in_step = start + tag, False
        else:
            found = NEXT.search(data, 1 + (last if in_step else start))
            start, in_step = found.start() if found else -1, False


def is_followed(data: bytes, start: int, end: int) -> bool:
    """Whether another frame follows a frame, or would: that has the header of the length."""
    return data[end : end + 3] in SIZES or promised_frames(data, start, end) is not None


def begins_with_frames(data: bytes) -> bool:
    """Whether the first frame is of layer II or III and followed by another. Frames of layer I may
    be raw samples of -1.
    """
    size = SIZES.get(data[:3], 0)
    return size > 0 and data[1] >> 1 & 3 != LAYER_1 and is_followed(data, 0, size)


def tag_size(data: bytes, start: int) -> int:
    """Bytes of the ID3v2 or APE tag that starts here; 0 where none does."""
    if data.startswith(b"ID3", start) and start + 10 <= len(data):
        return 10 + sum(byte << 7 * (3 - n) for n, byte in enumerate(data[start + 6 : start + 10]))
    if data.startswith(b"APETAGEX", start):
        return 32 + int.from_bytes(data[start + 12 : start + 16], "little")
    return 0


# The header of the length, which is a frame of silence to those who do not know it --------------


SIDE_INFORMATION = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
FURTHEST_MARKER = 4 + 32 + 4  # bytes of a frame up to the end of the marker


def promised_frames(data: bytes, start: int, end: int) -> int | None:
    """How many frames the header of the length promises; None where this frame is none."""
    beginning = data[start : start + FURTHEST_MARKER]
    if b"Xing" not in beginning and b"Info" not in beginning:
        return None
    place = header_place(data, start)
    if place + 12 > end or data[place : place + 4] not in (b"Xing", b"Info"):
        return None
    has_count = data[place + 7] & 1
    return int.from_bytes(data[place + 8 : place + 12], "big") if has_count else 0


def header_place(data: bytes, start: int) -> int:
    """After the header of the frame (4 bytes) and its side information."""
    version = data[start + 1] >> 3 & 3
    return start + 4 + SIDE_INFORMATION[version == MPEG_1, is_mono(data, start)]


def counted(data: bytes, stream: Stream) -> bytes:
    """The stream, with a header of its length where it has none. Layers I and II take none: their
    bit rate is constant, from which the decoder finds the length.
    """
    frames = data[stream.start : stream.end]
    if stream.is_counted or data[stream.start + 1] >> 1 & 3 != LAYER_3:
        return frames
    frames = data[stream.frames[0] : stream.end]
    head = bytes((0xFF, frames[1] | 1, frames[2] & 0x0C | LARGEST_RATE, frames[3]))
    size = SIZES[head[:3]]
    header = bytearray(size)
    header[:4] = head
    place = header_place(head, 0)
    fields = (3, max(len(stream.frames), stream.promised or 0), size + len(frames))
    header[place : place + 16] = b"Xing" + struct.pack(">3I", *fields)
    return bytes(header) + frames
