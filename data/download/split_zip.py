"""A split zip (NAME.z01, NAME.z02, …, NAME.zip) read as the single zip that it was split from.

Joining the volumes end to end is not enough: the central directory counts an entry's offset from
the start of the volume in which it begins, and Python refuses a zip64 directory of several
volumes. So the directory is rewritten in memory, with offsets from the start of the first
volume, and Python's zipfile reads the volumes followed by it. No second copy on the disk, no
external tool.

Source: PKWARE APPNOTE.TXT, 4.3.12 (directory), 4.3.14-16 (its ends), 4.5.3 (zip64), 8 (splitting).
"""

from __future__ import annotations

import io
import struct
import zipfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

ENTRY = struct.Struct("<4s6H3L5H2L")  # PK12 … crc, sizes (2), lengths (3), disk, …, offset
END = struct.Struct("<4s4H2LH")  # PK56, disk, directory's disk, entries (2), size, offset, comment
LOCATOR = struct.Struct("<4sLQL")  # PK67, disk of END64, its offset, number of disks
END64 = struct.Struct("<4sQ2H2L4Q")  # PK66 …, disk, directory's disk, entries (2), size, offset
LONGEST_COMMENT = 65_535
SEE_EXTRA = 0xFFFF_FFFF  # a 32-bit field whose value is in the zip64 extra field


@contextmanager
def open_zip(volumes: Sequence[Path]) -> Iterator[zipfile.ZipFile]:
    """A zip of one volume or several, in their order, for reading. Raises BadZipFile."""
    with ExitStack() as stack:
        files: list[BinaryIO] = [stack.enter_context(path.open("rb")) for path in volumes]
        if len(files) == 1:
            yield stack.enter_context(zipfile.ZipFile(files[0]))
            return
        view = ConcatenatedFiles(files)
        try:
            view.append(single_directory(view))
        except (struct.error, IndexError):
            raise zipfile.BadZipFile("the directory of the split zip is damaged") from None
        yield stack.enter_context(zipfile.ZipFile(view))


class ConcatenatedFiles(io.RawIOBase):
    """Concatenated files as one file that can be read and sought."""

    def __init__(self, files: Sequence[BinaryIO]) -> None:
        self.files: list[BinaryIO] = []
        self.starts, self.position = [0], 0
        for file in files:
            self.append(file)

    def append(self, file: BinaryIO) -> None:
        self.files.append(file)
        self.starts.append(self.starts[-1] + file.seek(0, io.SEEK_END))

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = (0, self.position, self.starts[-1])[whence]
        self.position = max(0, base + offset)
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, size: int = -1) -> bytes:
        end = self.starts[-1] if size < 0 else min(self.position + size, self.starts[-1])
        pieces = []
        while self.position < end:
            index = bisect_right(self.starts, self.position) - 1
            self.files[index].seek(self.position - self.starts[index])
            pieces.append(self.files[index].read(min(end, self.starts[index + 1]) - self.position))
            if not pieces[-1]:
                raise EOFError(f"volume {index + 1} became shorter while it was read")
            self.position += len(pieces[-1])
        return b"".join(pieces)


def single_directory(view: ConcatenatedFiles) -> BinaryIO:
    """The central directory, with its end records, of the volumes as one file."""
    start, size, count = find_directory(view)
    view.seek(start)
    directory, old, cursor = bytearray(), view.read(size), 0
    for _ in range(count):
        fields = list(ENTRY.unpack_from(old, cursor))
        if fields[0] != b"PK\1\2":
            raise zipfile.BadZipFile("the directory of the split zip is damaged")
        lengths = fields[10:13]  # of name, extra field and comment
        ends = [cursor + ENTRY.size + length for length in accumulate(lengths, initial=0)]
        name, extra, comment = (old[a:b] for a, b in zip(ends, ends[1:], strict=False))
        numbers, others = read_extra(extra, [fields[9], fields[8], fields[16]], fields[13])
        unpacked, packed, offset, disk = numbers
        offset += view.starts[disk]
        extra = struct.pack("<2H3Q", 1, 24, unpacked, packed, offset) + others
        fields[8] = fields[9] = fields[16] = SEE_EXTRA
        fields[11], fields[13] = len(extra), 0
        directory += ENTRY.pack(*fields) + name + extra + comment
        cursor = ends[-1]
    place = view.starts[-1]
    end = place + len(directory)
    directory += END64.pack(
        b"PK\6\6", END64.size - 12, 45, 45, 0, 0, count, count, end - place, place
    )
    directory += LOCATOR.pack(b"PK\6\7", 0, end, 1)
    directory += END.pack(b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, SEE_EXTRA, SEE_EXTRA, 0)
    return io.BytesIO(bytes(directory))


def find_directory(view: ConcatenatedFiles) -> tuple[int, int, int]:
    """Start in the view, bytes and number of entries of the central directory."""
    volumes = len(view.files)
    tail_start = max(view.starts[-2], view.starts[-1] - END.size - LONGEST_COMMENT)
    view.seek(tail_start)
    tail = view.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0:
        raise zipfile.BadZipFile("the last volume has no directory")
    _, disk, start_disk, _, count, size, offset, _ = END.unpack_from(tail, at)
    if tail[max(0, at - LOCATOR.size) : at].startswith(b"PK\6\7"):
        _, end_disk, end_offset, _ = LOCATOR.unpack_from(tail, at - LOCATOR.size)
        if end_disk >= volumes:
            raise other_count(view, end_disk + 1)
        view.seek(view.starts[end_disk] + end_offset)
        _, _, _, _, disk, start_disk, _, count, size, offset = END64.unpack(view.read(END64.size))
    if disk + 1 != volumes or start_disk >= volumes:
        raise other_count(view, disk + 1)
    return view.starts[start_disk] + offset, size, count


def other_count(view: ConcatenatedFiles, expected: int) -> zipfile.BadZipFile:
    """The error where the number of volumes is not `expected`; lists the missing ones."""
    names = [Path(file.name).name for file in view.files]
    stem = names[-1].rpartition(".")[0]
    missing = [name for n in range(1, expected) if (name := f"{stem}.z{n:02}") not in names]
    listed = f"; missing: {', '.join(missing)}" if missing else ""
    return zipfile.BadZipFile(f"it has {expected} volumes, found {len(names)}{listed}")


def read_extra(extra: bytes, numbers: list[int], disk: int) -> tuple[list[int], bytes]:
    """Sizes, offset and disk with the zip64 values in their places, and the other extra fields."""
    others, cursor = b"", 0
    while cursor + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, cursor)
        if kind == 1:
            place = cursor + 4
            for index, number in enumerate(numbers):
                if number == SEE_EXTRA:
                    numbers[index] = struct.unpack_from("<Q", extra, place)[0]
                    place += 8
            if disk == 0xFFFF:
                disk = struct.unpack_from("<L", extra, place)[0]
        else:
            others += extra[cursor : cursor + 4 + length]
        cursor += 4 + length
    return [*numbers, disk], others
