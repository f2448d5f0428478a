import errno
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data.download.disk
import data.download.unpacking
from config import UserError
from data.download.unpacking import check_name, is_archive, merge, unpack
from tests.contents import contents

SOUNDS = {
    "set/audio/a.wav": b"a" * 5_000,
    "set/audio/b.wav": b"b" * 70_000,
    "set/meta.csv": b"x,y\n",
}


def zip_of(path: Path, files: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, body)
    return path


def tar_of(path: Path, files: dict[str, bytes], *others: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, body in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
        for entry in others:
            archive.addfile(entry)
    return path


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "outside" / "data"
    inside.mkdir(parents=True)
    return inside


@pytest.mark.parametrize("name", ["s.zip", "s.tar.gz", "s.tgz", "s.tar"])
def test_an_archive_is_unpacked_completely(folder, tmp_path, name):
    make = zip_of if name.endswith("zip") else tar_of
    archive = make(tmp_path / name, SOUNDS)
    assert is_archive(name)
    assert unpack([archive], folder) == ["set"]
    assert contents(folder) == SOUNDS
    assert [path.name for path in folder.iterdir()] == ["set"]


def test_other_files_are_no_archives():
    assert not any(map(is_archive, ["annotations.csv", "zip", "a.z01", "README.md", "a.gz"]))


def test_folders_are_filled_up_and_files_replaced(folder, tmp_path):
    unpack(
        [zip_of(tmp_path / "1.zip", {"set/audio/a.wav": b"old", "set/audio/c.wav": b"c"})], folder
    )
    unpack([tar_of(tmp_path / "2.tar.gz", SOUNDS)], folder)
    assert contents(folder) == SOUNDS | {"set/audio/c.wav": b"c"}


def test_the_rest_of_a_killed_run_is_swept_away(folder, tmp_path):
    rest = folder / ".s.zip.unpacking"
    rest.mkdir()
    (rest / "half.wav").write_bytes(b"ha")
    assert unpack([zip_of(tmp_path / "s.zip", SOUNDS)], folder) == ["set"]
    assert contents(folder) == SOUNDS


BAD_NAMES = [
    "/etc/evil",
    "../evil",
    "set/../../evil",
    "..",
    "C:/evil",
    "c:evil",
    "..\\evil",
    "\\evil",
]


@pytest.mark.parametrize("bad", BAD_NAMES)
@pytest.mark.parametrize("name", ["s.zip", "s.tar.gz"])
def test_a_name_that_leads_out_is_refused(folder, tmp_path, name, bad):
    make = zip_of if name.endswith("zip") else tar_of
    archive = make(tmp_path / name, SOUNDS | {bad: b"evil"})
    with pytest.raises(UserError, match="leads out of the folder") as caught:
        unpack([archive], folder)
    assert str(archive) in str(caught.value)
    assert repr(bad) in str(caught.value)
    assert contents(tmp_path / "outside") == {}
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "../../secret"),
        (tarfile.SYMTYPE, "audio/.."),
        (tarfile.LNKTYPE, "../secret"),
        (tarfile.LNKTYPE, "/etc/passwd"),
    ],
)
def test_a_link_that_leads_up_is_refused(folder, tmp_path, kind, link):
    archive = tar_of(tmp_path / "s.tar.gz", SOUNDS, special("set/link", kind, link))
    with pytest.raises(UserError, match="set/link is a link that leads out of the folder"):
        unpack([archive], folder)
    assert list(folder.iterdir()) == []


def test_a_link_that_leads_down_is_kept(folder, tmp_path):
    links = (
        special("set/b", tarfile.SYMTYPE, "audio/b.wav"),
        special("hard", tarfile.LNKTYPE, "set/meta.csv"),
    )
    unpack([tar_of(tmp_path / "s.tar.gz", SOUNDS, *links)], folder)
    assert (folder / "set/b").is_symlink()
    assert (folder / "set/b").read_bytes() == SOUNDS["set/audio/b.wav"]
    assert (folder / "hard").read_bytes() == SOUNDS["set/meta.csv"]


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_device_is_refused(folder, tmp_path, kind):
    with pytest.raises(UserError, match="'set/null' is a device or a pipe"):
        unpack([tar_of(tmp_path / "s.tar.gz", SOUNDS, special("set/null", kind))], folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_a_link_or_device_in_a_zip_is_refused(folder, tmp_path, mode):
    with pytest.raises(UserError, match="'set/link' is a link or a device"):
        unpack([zip_of(tmp_path / "s.zip", {"set/link": b"a.wav"}, mode | 0o777)], folder)
    assert list(folder.iterdir()) == []


def test_rights_of_strangers_are_not_taken_over(folder, tmp_path):
    entry = special("run", tarfile.REGTYPE)
    entry.mode = 0o6777
    unpack([tar_of(tmp_path / "s.tar.gz", {}, entry)], folder)
    assert not (folder / "run").stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH)


def flip(path: Path, at: int) -> Path:
    body = bytearray(path.read_bytes())
    body[at] ^= 0xFF
    path.write_bytes(body)
    return path


def cut(path: Path, by: int) -> Path:
    path.write_bytes(path.read_bytes()[:-by])
    return path


NOISE = {"n.wav": bytes(i * i * 31 % 251 for i in range(50_000))}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: flip(zip_of(p / "s.zip", NOISE), 400),
        lambda p: cut(zip_of(p / "s.zip", NOISE), 30),
        lambda p: flip(tar_of(p / "s.tar.gz", NOISE), -8),  # gzip's checksum
        lambda p: cut(tar_of(p / "s.tar.gz", NOISE), 200),
        lambda p: cut(tar_of(p / "s.tar.gz", NOISE), 8),
        lambda p: flip(tar_of(p / "s.tar", NOISE), 5),
        lambda p: cut(tar_of(p / "s.tar", NOISE), 30_000),
    ],
)
def test_a_damaged_archive_is_named_and_leaves_nothing(folder, tmp_path, spoil):
    archive = spoil(tmp_path)
    with pytest.raises(UserError, match="cannot be unpacked.*delete it and start again") as caught:
        unpack([archive], folder)
    assert str(archive) in str(caught.value)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["s.zip", "s.tar.gz"])
def test_a_web_page_named_as_an_archive(folder, tmp_path, name):
    (tmp_path / name).write_text("<html>please log in</html>")
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack([tmp_path / name], folder)


def test_a_zip_with_a_password(folder, tmp_path):
    archive = zip_of(tmp_path / "s.zip", NOISE)
    body = bytearray(archive.read_bytes())
    body[body.index(b"PK\1\2") + 8] |= 1
    body[6] |= 1
    archive.write_bytes(body)
    with pytest.raises(UserError, match="password"):
        unpack([archive], folder)


def test_a_disk_that_fills_up_leaves_nothing_half_done(folder, tmp_path, monkeypatch):
    def full(source, target, length):
        target.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(data.download.unpacking.shutil, "copyfileobj", full)
    with pytest.raises(UserError, match="the disk is full"):
        unpack([zip_of(tmp_path / "s.zip", SOUNDS)], folder)
    assert list(folder.iterdir()) == []


def test_a_zip_that_would_not_fit_is_not_begun(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(data.download.disk, "free_bytes", lambda folder: 75_000)  # it holds 75,004
    with pytest.raises(UserError, match=r"needs about 75\.0 kB, and 75\.0 kB are free"):
        unpack([zip_of(tmp_path / "s.zip", SOUNDS)], folder)
    monkeypatch.setattr(data.download.disk, "free_bytes", lambda folder: 75_004)
    unpack([tmp_path / "s.zip"], folder)


def test_a_file_where_a_folder_should_be(folder, tmp_path):
    (folder / "set").write_text("mine")
    with pytest.raises(UserError, match="cannot be written"):
        unpack([zip_of(tmp_path / "s.zip", SOUNDS)], folder)
    assert contents(folder) == {"set": b"mine"}


PARTS = st.sampled_from(["a", "b.wav", "..", ".", "", "c d", "...", "..x"])


@settings(derandomize=True, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=6))
def test_every_name_that_is_let_through_stays_inside(parts):
    name = "/".join(parts)
    inside = True
    depth = 0
    for part in parts:
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        inside = inside and depth >= 0
    try:
        check_name(Path("s.zip"), name)
    except UserError:
        assert ".." in parts or name.startswith("/")
    else:
        assert inside
        assert not name.startswith("/")


def test_merge_does_not_follow_a_link_in_the_archive(tmp_path):
    source, target, elsewhere = tmp_path / "s", tmp_path / "t", tmp_path / "e"
    for folder in (source, target / "x", elsewhere):
        folder.mkdir(parents=True)
    (elsewhere / "f").write_text("elsewhere")
    (target / "y").write_text("replaced")
    (source / "y").symlink_to(elsewhere)
    merge(source, target)
    assert (target / "y").is_symlink()
    assert (elsewhere / "f").read_text() == "elsewhere"
