import hashlib
import io
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

import data.download.disk
import data.download.http
from config import UserError
from data.download import Archive, download, space
from data.download.archive import bundles
from tests.data.download.loopback import Loopback, answer, drop_after, status
from tests.data.download.test_split_zip import FILES, write_volumes

NOBODY = "http://127.0.0.1:1"  # no server: whoever connects fails
pytestmark = pytest.mark.usefixtures("pauses")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "audio" / "set"


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name), body)  # of no date: a name holds its md5
    return stream.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, body in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return stream.getvalue()


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def archive(name: str, body: bytes, *urls: str, **options) -> Archive:
    return Archive(name, urls, len(body), md5(body), **options)


ZIP = zipped({"set/audio/a.wav": b"a" * 9_000, "set/meta.csv": b"x,y\n"})
TAR = tarred({"set/audio/b.wav": b"b" * 9_000})
CSV = b"filename,label\n"


def published(web: Loopback) -> list[Archive]:
    bodies = {"a.zip": ZIP, "b.tar.gz": TAR, "labels.csv": CSV}
    return [archive(n, body, web.put(f"/{n}", body, '"v1"')) for n, body in bodies.items()]


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


WHOLE = {"set/audio/a.wav", "set/audio/b.wav", "set/meta.csv", "labels.csv"}
KEPT = {"a.zip", "b.tar.gz", ".a.zip.done", ".b.tar.gz.done", ".labels.csv.done"}


def test_archives_are_fetched_unpacked_and_a_second_call_does_nothing(web, folder):
    archives = published(web)
    download(archives, folder)
    assert names(folder) == WHOLE | KEPT
    assert (folder / "set/audio/a.wav").read_bytes() == b"a" * 9_000
    assert len(web.seen) == 3
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    download(archives, folder)
    assert len(web.seen) == 3
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_an_unpacked_archive_may_be_deleted_but_not_its_contents(web, folder):
    archives = published(web)
    download(archives, folder)
    (folder / "a.zip").unlink()
    download(archives, folder)
    assert len(web.seen) == 3
    (folder / "labels.csv").unlink()
    download(archives, folder)
    assert [request.path for request in web.seen[3:]] == ["/labels.csv"]


def test_existing_archives_are_used_without_a_connection(folder):
    folder.mkdir(parents=True)
    (folder / "a.zip").write_bytes(ZIP)
    (folder / "labels.csv").write_bytes(CSV)
    lying = [
        archive("a.zip", ZIP, f"{NOBODY}/a.zip"),
        Archive("labels.csv", (), None, md5(CSV).upper()),
    ]
    download(lying, folder)
    assert (folder / "set/meta.csv").read_bytes() == b"x,y\n"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (ZIP[:-1], f"found {len(ZIP) - 1} bytes, expected {len(ZIP)} bytes"),
        (bytes(len(ZIP)), f"found md5 {md5(bytes(len(ZIP)))}, expected md5 {md5(ZIP)}"),
    ],
)
def test_an_existing_wrong_file_is_named_and_kept(folder, body, found):
    folder.mkdir(parents=True)
    (folder / "a.zip").write_bytes(body)
    with pytest.raises(UserError, match=found) as caught:
        download([archive("a.zip", ZIP, f"{NOBODY}/a.zip")], folder)
    assert str(folder / "a.zip") in str(caught.value)
    assert (folder / "a.zip").read_bytes() == body


def test_mirrors_are_tried_in_turn(web, folder):
    wrong = bytes(len(ZIP))
    urls = web.address + "/gone", web.put("/wrong", wrong), web.put("/short", ZIP[:50])
    download([archive("a.zip", ZIP, *urls, web.put("/right", ZIP))], folder)
    assert [r.path for r in web.seen] == ["/gone", "/wrong", "/short", "/right"]
    assert "Range" not in web.seen[2].headers  # the wrong bytes were thrown away
    assert "set/meta.csv" in names(folder)


def test_where_no_address_works_each_is_named_with_its_reason(web, folder):
    wrong, closed = web.put("/wrong", bytes(len(ZIP))), web.put("/short", ZIP[:50])
    with pytest.raises(UserError) as caught:
        download([archive("a.zip", ZIP, web.address + "/gone", wrong, closed)], folder)
    message = str(caught.value)
    assert f"{web.address}/gone: HTTP status 404" in message
    assert f"{wrong}: found md5 {md5(bytes(len(ZIP)))}, expected md5 {md5(ZIP)}" in message
    assert f"{closed}: it has 50 bytes, expected {len(ZIP)}" in message
    assert f"put it into {folder} by hand (size {len(ZIP)}, md5 {md5(ZIP)})" in message
    assert names(folder) == set()


def test_an_archive_without_an_address_must_be_put_there_by_hand(folder):
    with pytest.raises(UserError, match=r"a\.zip: no address serves it: none is known"):
        download([Archive("a.zip", ())], folder)


def test_a_dropped_connection_is_resumed_by_the_next_call(web, folder):
    url = web.put("/a.zip", ZIP)
    web.faults["/a.zip"] = [drop_after(4_000, ZIP), status(403)]
    with pytest.raises(UserError, match="403"):
        download([archive("a.zip", ZIP, url)], folder)
    assert names(folder) == {"a.zip.part"}
    download([archive("a.zip", ZIP, url)], folder)
    assert web.seen[-1].headers["Range"] == "bytes=4000-"
    assert web.sent == len(ZIP)
    assert names(folder) == {"a.zip", ".a.zip.done", "set/audio/a.wav", "set/meta.csv"}


def test_a_part_of_another_version_gets_a_second_try_from_the_first_byte(web, folder):
    folder.mkdir(parents=True)
    (folder / "a.zip.part").write_bytes(b"another version")
    download([archive("a.zip", ZIP, web.put("/a.zip", ZIP))], folder)
    assert [r.headers.get("Range") for r in web.seen] == ["bytes=15-", None]
    assert "set/meta.csv" in names(folder)


def test_a_wrong_md5_that_is_not_binding_is_a_warning(web, folder, capsys):
    expected = Archive("a.zip", (web.put("/a.zip", ZIP),), 7, md5(b"older"), md5_is_binding=False)
    download([expected], folder)
    assert "set/meta.csv" in names(folder)
    assert f"warning: a.zip: found {len(ZIP)} bytes, expected 7 bytes" in capsys.readouterr().err
    unsized = Archive("a.zip", (NOBODY,), None, md5(b"older still"), md5_is_binding=False)
    (folder / ".a.zip.done").unlink()
    download([unsized], folder)
    assert f"found md5 {md5(ZIP)}, expected md5 {md5(b'older still')}" in capsys.readouterr().err


def test_two_are_fetched_at_a_time_and_never_three(web, folder):
    both = threading.Barrier(2, timeout=10)

    def meet(handler):
        both.wait()  # breaks, and the test with it, unless two requests are open together
        time.sleep(0.02)
        return False

    def linger(handler):
        time.sleep(0.02)
        return False

    archives = []
    for n in range(8):
        archives.append(archive(f"{n}.csv", CSV, web.put(f"/{n}", CSV)))
        web.faults[f"/{n}"] = [meet if n < 2 else linger]
    download(archives, folder)
    assert web.most_at_once == 2
    assert len(web.seen) == 8


def test_the_first_error_stops_all(web, folder):
    left = threading.Event()

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(500):
                handler.wfile.write(bytes(1 << 16))
                time.sleep(0.01)
        except ConnectionError:
            left.set()

    archives = [Archive(f"{n}.csv", (f"{web.address}/{n}",)) for n in range(6)]
    for n in range(6):
        web.faults[f"/{n}"] = [endless]
    web.faults["/1"] = [lambda handler: answer(handler, 404)]
    with pytest.raises(UserError, match=r"1\.csv: no address serves it"):
        download(archives, folder)
    assert left.wait(10)  # the client hung up in the midst of the other file
    assert len(web.seen) < 6


def test_space_counts_what_is_still_needed(folder):
    folder.mkdir(parents=True)
    (folder / "a.zip.part").write_bytes(bytes(300))
    (folder / "there.tgz").write_bytes(bytes(2_000))
    part, there, plain = (
        Archive("a.zip", (), 1_000),
        Archive("there.tgz", ()),
        Archive("c.csv", (), 50),
    )
    unknown = Archive("d.zip", ())
    missing = [(part,), (there,), (plain,), (unknown,)]
    # To come: 1000 - 300 + 50. To unpack, half as much again: 1.5 * (1000 + 2000).
    assert space(missing, [part, plain, unknown], folder) == 750 + 4_500


def test_too_little_space_is_an_error_before_the_first_request(web, folder, monkeypatch):
    monkeypatch.setattr(data.download.disk, "free_bytes", lambda folder: 10_000_000_000)
    big = Archive("big.zip", (web.address + "/big.zip",), 13_300_000_000)
    with pytest.raises(UserError, match=r"needs about 33\.2 GB, and 10\.0 GB are free") as caught:
        download([big], folder)
    assert str(folder) in str(caught.value)
    assert "[data] ROOT" in str(caught.value)
    assert not web.seen


def test_no_space_is_needed_for_what_is_done(web, folder, monkeypatch):
    archives = published(web)
    download(archives, folder)
    monkeypatch.setattr(data.download.disk, "free_bytes", lambda folder: 0)
    download(archives, folder)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"md5": 1, "contents": []}', '{"md5": {}}', "\xff"]
)
def test_a_corrupt_marker_means_unpacking_again_without_a_connection(web, folder, text):
    archives = published(web)[:1]
    download(archives, folder)
    (folder / ".a.zip.done").write_text(text, encoding="latin-1")
    (folder / "set/meta.csv").write_text("edited")
    download(archives, folder)
    assert (folder / "set/meta.csv").read_bytes() == b"x,y\n"
    assert len(web.seen) == 1


def test_another_version_of_an_archive_does_not_count_as_done(web, folder):
    download(published(web)[:1], folder)
    newer = zipped({"set/meta.csv": b"new\n"})
    (folder / "a.zip").unlink()
    download([archive("a.zip", newer, web.put("/newer", newer))], folder)
    assert (folder / "set/meta.csv").read_bytes() == b"new\n"


def test_an_archive_that_is_damaged_at_its_host_leaves_no_marker(web, folder):
    url = web.put("/a.zip", b"<html>log in</html>")
    with pytest.raises(UserError, match=r"a\.zip: cannot be unpacked"):
        download([Archive("a.zip", (url,))], folder)
    assert names(folder) == {"a.zip"}


def test_volumes_of_a_split_zip_go_together_and_in_order():
    shuffled = [Archive(n, ()) for n in ("s.z100", "s.zip", "x.z01", "s.z02", "t.zip", "s.z01")]
    assert [[a.name for a in bundle] for bundle in bundles(shuffled)] == [
        ["s.z01", "s.z02", "s.z100", "s.zip"],
        ["x.z01"],
        ["t.zip"],
    ]


def test_a_split_zip_is_fetched_and_unpacked(web, folder, tmp_path):
    volumes = write_volumes(tmp_path, FILES, 4_096, zip64=True)
    archives = [
        archive(p.name, p.read_bytes(), web.put(f"/{p.name}", p.read_bytes())) for p in volumes
    ]
    download(archives, folder)
    assert {f"set/{p.name}": p.read_bytes() for p in (folder / "set").iterdir()} == FILES
    for volume in volumes:
        (folder / volume.name).unlink()
    download(archives, folder)
    assert len(web.seen) == len(volumes)


@pytest.mark.parametrize("name", ["", "../a.zip", "a/b.zip", "/a.zip", ".hidden", "..", "a\\b.zip"])
def test_an_archive_has_a_plain_file_name(name):
    with pytest.raises(UserError, match="expected a plain file name"):
        Archive(name, ())


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "audio").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        download([archive("a.zip", ZIP, NOBODY)], tmp_path / "audio" / "set")
