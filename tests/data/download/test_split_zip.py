import io
import random
import shutil
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import UserError
from data.download.split_zip import ConcatenatedFiles, open_zip
from data.download.unpacking import unpack

NOISE = random.Random(0)
FILES = {f"set/{n}.wav": NOISE.randbytes(40 * n) + bytes(60 * n) for n in range(25)}


def write_volumes(
    folder: Path, files: dict[str, bytes], volume: int, zip64: bool, deflate: bool = True
) -> list[Path]:
    """A split zip by the book, cut every `volume` bytes, even within headers and directory."""
    stream, directory = bytearray(b"PK\7\x08"), bytearray()
    for name, body in files.items():
        disk, offset = divmod(len(stream), volume)
        raw = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = raw.compress(body) + raw.flush() if deflate else body
        common = struct.pack("<4HL", 0, 8 if deflate else 0, 0, 0, zlib.crc32(body))
        stream += b"PK\3\4" + struct.pack("<H", 45) + common
        stream += struct.pack("<2L2H", len(packed), len(body), len(name), 0) + name.encode()
        stream += packed
        other = struct.pack("<2H", 0x7875, 2) + b"id"
        sizes, extra = (len(packed), len(body), offset), other
        if zip64:
            extra = other + struct.pack("<2H3QL", 1, 28, len(body), len(packed), offset, disk)
            disk, sizes = 0xFFFF, (0xFFFF_FFFF,) * 3
        directory += b"PK\1\2" + struct.pack("<2H", 45, 45) + common
        directory += struct.pack("<2L", *sizes[:2]) + struct.pack("<3H", len(name), len(extra), 2)
        directory += struct.pack("<2H2L", disk, 0, 0, sizes[2]) + name.encode() + extra + b"ok"
    start = len(stream)
    stream += directory
    last = len(stream) // volume
    disk, offset, size, count = start // volume, start % volume, len(directory), len(files)
    if zip64:
        end_disk, end_offset = divmod(len(stream), volume)
        assert end_disk == last
        stream += b"PK\6\6" + struct.pack(
            "<Q2H2L4Q", 44, 45, 45, last, disk, count, count, size, offset
        )
        stream += b"PK\6\7" + struct.pack("<LQL", last, end_offset, last + 1)
        disk, offset, size, count = 0xFFFF, 0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF
    number = 0xFFFF if zip64 else last
    stream += (
        b"PK\5\6" + struct.pack("<4H2LH", number, disk, count, count, size, offset, 4) + b"note"
    )
    cuts = [stream[volume * n : volume * (n + 1)] for n in range(last)] + [stream[volume * last :]]
    paths = [folder / f"set.z{n:02}" for n in range(1, last + 1)] + [folder / "set.zip"]
    for path, body in zip(paths, cuts, strict=True):
        path.write_bytes(body)
    return paths


def contents(paths: list[Path]) -> dict[str, bytes]:
    with open_zip(paths) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("volume", [64, 1_000, 4_096, 10_000])
def test_every_file_of_a_split_zip_is_read(tmp_path, volume, zip64, deflate):
    paths = write_volumes(tmp_path, FILES, volume, zip64, deflate)
    assert len(paths) > 1
    assert contents(paths) == FILES
    with open_zip(paths) as archive:
        for entry in archive.infolist():
            assert entry.extra.endswith(b"\x75\x78\2\0id")  # what is not about sizes is kept
            assert entry.comment == b"ok"


def test_the_volumes_joined_are_not_readable_without_it(tmp_path):
    paths = write_volumes(tmp_path, FILES, 4_096, zip64=True)
    joined = io.BytesIO(b"".join(path.read_bytes() for path in paths))
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(joined).testzip()


def test_a_single_volume_is_an_ordinary_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.writestr("a", b"body")
    assert contents([tmp_path / "one.zip"]) == {"a": b"body"}


@pytest.mark.skipif(shutil.which("zip") is None, reason="Info-ZIP is not installed")
@pytest.mark.parametrize("method", ["-0", "-9"])
def test_volumes_of_info_zip(tmp_path, method):
    files = {f"set/{n}.wav": NOISE.randbytes(30_000) for n in range(12)}
    (tmp_path / "set").mkdir()
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
    command = ["zip", "-q", "-r", "-s", "64k", method, "s.zip", "set"]
    subprocess.run(command, cwd=tmp_path, check=True)
    paths = [*sorted(tmp_path.glob("s.z[0-9]*")), tmp_path / "s.zip"]
    assert len(paths) == 6
    assert contents(paths) == {"set/": b""} | files
    inside = tmp_path / "inside"
    inside.mkdir()
    assert unpack(paths, inside) == ["set"]
    assert {p.name: p.read_bytes() for p in (inside / "set").iterdir()} == {
        name.removeprefix("set/"): body for name, body in files.items()
    }


@pytest.mark.parametrize("zip64", [False, True])
def test_a_missing_volume_is_named(tmp_path, zip64):
    paths = write_volumes(tmp_path, FILES, 4_096, zip64)
    count = len(paths)
    missing = f"it has {count} volumes, found {count - 1}; missing: set.z03; delete"
    with pytest.raises(UserError, match=missing):
        unpack(paths[:2] + paths[3:], tmp_path)
    with pytest.raises(
        UserError, match=f"found 2; missing: set.z02, .*set.z{count - 1:02}; delete"
    ):
        unpack([paths[0], paths[-1]], tmp_path)
    assert not (tmp_path / "set").exists()


def test_damaged_entries_are_named_and_counted(tmp_path):
    paths = write_volumes(tmp_path, FILES, 4_096, zip64=True, deflate=False)
    body = bytearray(b"".join(path.read_bytes() for path in paths))
    for name in ("set/20.wav", "set/24.wav"):
        place = body.index(name.encode())  # of the entry; the directory's comes later
        body[place + 100] ^= 0xFF
    for k, path in enumerate(paths):
        path.write_bytes(body[4_096 * k : 4_096 * (k + 1)])
    with pytest.raises(UserError) as caught:
        unpack(paths, tmp_path)
    message = str(caught.value)
    assert "damaged entries: 2 of 25; delete it and start again\n  set/20.wav: Bad CRC" in message
    assert "\n  set/24.wav: Bad CRC" in message
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_volumes_in_another_order_and_a_wrong_byte_are_noticed(tmp_path):
    paths = write_volumes(tmp_path, FILES, 4_096, zip64=False)
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack([paths[1], paths[0], *paths[2:]], tmp_path)
    body = bytearray(paths[1].read_bytes())
    body[2_000] ^= 0xFF
    paths[1].write_bytes(body)
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(paths, tmp_path)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("at", [b"PK\5\6", b"PK\1\2"])
def test_a_damaged_directory_is_noticed(tmp_path, at):
    paths = write_volumes(tmp_path, FILES, 12_000, zip64=False)
    assert at in paths[-1].read_bytes()
    paths[-1].write_bytes(paths[-1].read_bytes().replace(at, b"xxxx"))
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(paths, tmp_path)


def test_the_names_of_a_split_zip_are_checked_too(tmp_path):
    paths = write_volumes(tmp_path, FILES | {"../evil": b"x"}, 4_096, zip64=True)
    with pytest.raises(UserError, match="'../evil' leads out of the folder"):
        unpack(paths, tmp_path)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.binary(max_size=9), min_size=1, max_size=5), st.data())
def test_concatenated_files_read_as_their_bytes(pieces, choose):
    view, plain = (
        ConcatenatedFiles([io.BytesIO(piece) for piece in pieces]),
        io.BytesIO(b"".join(pieces)),
    )
    for _ in range(5):
        offset, size = choose.draw(st.integers(0, 50)), choose.draw(st.integers(-1, 50))
        assert view.seek(offset) == plain.seek(offset)
        assert view.read(size) == plain.read(size)
        assert view.tell() == plain.tell()
        assert view.seek(-1, io.SEEK_END) == max(0, sum(map(len, pieces)) - 1)
        plain.seek(view.tell())
        assert view.seek(2, io.SEEK_CUR) == plain.seek(2, io.SEEK_CUR)
