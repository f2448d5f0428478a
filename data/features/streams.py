"""What libsndfile has to open to read all of a file.

Of several streams that follow one another (concatenated MP3 or FLAC files, chained Ogg) it reads
the first only. Of MP3 without a header of the length it reads an estimated length, and of FLAC
without a length nothing.
"""

from __future__ import annotations

import io
import re
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Literal

from data.features import mpeg

FLAC = re.compile(rb"fLaC[\x00\x80]\0\0\x22")  # the marker, and STREAMINFO of 34 bytes
OGG = re.compile(rb"OggS\0[\2\3\6\7]\0{8}.{12}(.)", re.S)  # a first page, and its segments
OGG_LAST = 4  # flag of the last page of a stream
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
BLOCK = 2**16  # samples


def streams_of(path: Path, container: str) -> tuple[bytes, ...]:
    """The streams of a file, in their order; none where libsndfile reads all of it as it is.

    `container`: the format, as libsndfile names it. An Ogg stream that lacks pages is read as
    far as it goes, with a warning: recorded broadcasts lack the last one too.
    """
    if container not in ("MP3", "OGG", "FLAC"):
        return ()
    stamp = path.stat()
    return parsed(path, container, stamp.st_size, stamp.st_mtime_ns)


@lru_cache(maxsize=2)  # the clips of a long recording follow one another
def parsed(path: Path, container: str, *stamp: int) -> tuple[bytes, ...]:
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        if container == "MP3":
            return mpeg_streams(path, data[:])
        if container == "OGG":
            starts = [*ogg_starts(data)]
        else:
            starts = [match.start() for match in found(FLAC, b"fLaC", data)]
        spans = [*pairwise([*starts, len(data)])]
        if container == "OGG" and (fault := next(filter(None, ogg_faults(data, spans)), None)):
            warnings.warn(f"{path}: the stream {fault}", stacklevel=2)
        if container == "FLAC" and not all(has_length(data, start) for start in starts):
            return tuple(with_length(data[slice(*span)]) for span in spans)
        return tuple(data[slice(*span)] for span in spans) if len(spans) > 1 else ()


def mpeg_streams(path: Path, data: bytes) -> tuple[bytes, ...]:
    streams = mpeg.find_streams(data)
    if not streams or (len(streams) == 1 and streams[0].is_counted):
        return ()
    if gap := mpeg.longest_gap(data, streams):
        warnings.warn(f"{path}: {gap} bytes are no MPEG frames, perhaps damaged", stacklevel=3)
    return tuple(mpeg.counted(data, stream) for stream in streams)


def found(pattern: re.Pattern[bytes], marker: bytes, data: mmap) -> Iterator[re.Match[bytes]]:
    """As `pattern.finditer`, for a pattern that starts with `marker`, which `find` finds faster."""
    place = data.find(marker)
    while place >= 0:
        if match := pattern.match(data, place):
            yield match
        place = data.find(marker, place + 1)


def ogg_starts(data: mmap) -> Iterator[int]:
    """Streams that play at the same time have their first pages side by side: they are one."""
    end = -1
    for match in found(OGG, b"OggS", data):
        if match.start() != end:
            yield match.start()
        sizes = data[match.end() : match.end() + match[1][0]]
        end = match.end() + len(sizes) + sum(sizes)


def ogg_faults(data: mmap, spans: Iterable[tuple[int, int]]) -> Iterator[str]:
    """What is wrong with the pages of each stream; nothing where all are there."""
    for start, end in spans:
        flags, damaged, numbers = 0, 0, dict[bytes, int]()
        while 0 <= start < end:
            if size := page_size(data, start, end):
                flags, serial = data[start + 5], data[start + 14 : start + 18]
                number = int.from_bytes(data[start + 18 : start + 22], "little")
                damaged += number != numbers.get(serial, number)
                numbers[serial] = number + 1
            else:
                damaged += 1
            start = start + size if size else data.find(b"OggS\0", start + 1, end)
        if not flags & OGG_LAST:
            yield "has no last page, perhaps it is cut"
        elif damaged:
            yield "has damaged or missing pages, whose samples are lost"


def page_size(data: mmap, start: int, end: int) -> int:
    """Bytes of the Ogg page that starts here; 0 where it is cut or its checksum is wrong.

    Source: RFC 3533, 6. Its CRC is that of zlib with the bits of all bytes and of the sum reversed.
    """
    sizes = data[start + 27 : start + 27 + data[min(start + 26, end - 1)]]
    size = 27 + len(sizes) + sum(sizes)
    if start + size > end or data[start : start + 5] != b"OggS\0":
        return 0
    page = bytearray(data[start : start + size])
    written, page[22:26] = int.from_bytes(page[22:26], "little"), bytes(4)
    crc = zlib.crc32(page.translate(REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return size if f"{crc:032b}"[::-1] == f"{written:032b}" else 0


def has_length(data: mmap | bytes, start: int = 0) -> bool:
    """Whether STREAMINFO has the number of samples, in its last 36 bits before the checksum."""
    return bool(data[start + 21] & 15 or any(data[start + 22 : start + 26]))


def with_length(stream: bytes) -> bytes:
    """A FLAC stream with its number of samples, which are decoded to count them."""
    import soundfile

    if has_length(stream):
        return stream
    samples = 0
    with soundfile.SoundFile(io.BytesIO(stream)) as file:
        file.seekable = lambda: False  # or soundfile allocates what the header declares
        while count := len(file.read(BLOCK, dtype="float32")):
            samples += count
    changed = bytearray(stream)
    changed[21] |= samples >> 32
    changed[22:26] = (samples & 0xFFFF_FFFF).to_bytes(4, "big")
    return bytes(changed)


def is_concatenated(path: Path, container: str) -> bool:
    """Whether another AU, CAF, RF64 or W64 file follows a first one, perhaps after padding.

    libsndfile reads the first, and of W64 the header of the second as samples. Two files of another
    kind it refuses, or they are several streams.
    """
    if container not in ENDS:
        return False
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        end = ENDS[container](data)
        return end > 0 and data[end : end + 12].lstrip(b"\0").startswith(data[:4])


def au_end(data: mmap) -> int:
    order: Literal["big", "little"] = "big" if data[:4] == b".snd" else "little"
    return int.from_bytes(data[4:8], order) + int.from_bytes(data[8:12], order)


def caf_end(data: mmap) -> int:
    end = 8
    while (kind := data[end : end + 4]).isalnum() and kind != b"caff":
        end += 12 + int.from_bytes(data[end + 4 : end + 12], "big")
    return end


ENDS: dict[str, Callable[[mmap], int]] = {  # container -> the end that the header declares
    "AU": au_end,
    "CAF": caf_end,
    "RF64": lambda data: 8 + int.from_bytes(data[20:28], "little"),
    "W64": lambda data: int.from_bytes(data[16:24], "little"),
}
