import hashlib
import json

import pytest

from config import UserError
from data.download import Archive, download, zenodo_record
from tests.data.download.loopback import Loopback, status

A, B = "0" * 31 + "a", "0" * 31 + "b"
NEW = {
    "files": [
        {"key": "audio 0.tar.gz", "size": 721, "checksum": f"md5:{A}", "links": {"self": "x"}},
        {"key": "annotations.csv", "size": 14, "checksum": f"md5:{B}"},
    ]
}
OLD = {
    "files": [
        {"filename": "audio 0.tar.gz", "filesize": 721, "checksum": A},
        {"filename": "annotations.csv", "filesize": 14, "checksum": B},
    ]
}


def publish(web: Loopback, record: object) -> str:
    body = record if isinstance(record, bytes) else json.dumps(record).encode()
    return web.put("/api/records/39", body).removesuffix("/39")


@pytest.mark.parametrize("shape", [NEW, OLD])
def test_a_record_is_read_once_in_either_shape(web, tmp_path, shape):
    api = publish(web, shape)
    folder = tmp_path / "audio"
    archives = zenodo_record(39, None, folder, api)
    site = web.address
    assert archives == (
        Archive(
            "audio 0.tar.gz",
            (
                f"{site}/records/39/files/audio%200.tar.gz?download=1",
                f"{site}/api/records/39/files/audio%200.tar.gz/content",
            ),
            721,
            A,
        ),
        Archive(
            "annotations.csv",
            (
                f"{site}/records/39/files/annotations.csv?download=1",
                f"{site}/api/records/39/files/annotations.csv/content",
            ),
            14,
            B,
        ),
    )
    assert [request.path for request in web.seen] == ["/api/records/39"]
    assert zenodo_record(39, ["annotations.csv"], folder, api) == archives[1:]
    assert zenodo_record(39, [a.name for a in archives[::-1]], folder, api) == archives[::-1]
    assert len(web.seen) == 1
    assert [path.name for path in folder.iterdir()] == ["zenodo_39.json"]


def test_half_a_description_of_a_killed_run_is_not_resumed(web, tmp_path):
    (tmp_path / "zenodo_39.json.part").write_text("{")
    assert len(zenodo_record(39, None, tmp_path, publish(web, NEW))) == 2
    assert "Range" not in web.seen[0].headers


def test_the_public_address_is_zenodos(tmp_path):
    (tmp_path / "zenodo_39.json").write_text(json.dumps(NEW))
    (archive,) = zenodo_record(39, ["annotations.csv"], tmp_path)
    assert archive.urls == (
        "https://zenodo.org/records/39/files/annotations.csv?download=1",
        "https://zenodo.org/api/records/39/files/annotations.csv/content",
    )


def test_the_second_address_serves_where_the_first_does_not(web, tmp_path):
    body = b"x,y\n"
    checksum = f"md5:{hashlib.md5(body, usedforsecurity=False).hexdigest()}"
    api = publish(web, {"files": [{"key": "a.csv", "size": len(body), "checksum": checksum}]})
    web.put("/api/records/39/files/a.csv/content", body)
    download(zenodo_record(39, None, tmp_path, api), tmp_path)
    assert (tmp_path / "a.csv").read_bytes() == body
    assert [(r.path, r.status) for r in web.seen[1:]] == [
        ("/records/39/files/a.csv", 404),
        ("/api/records/39/files/a.csv/content", 200),
    ]


def test_a_checksum_of_another_kind_is_not_taken_for_an_md5(web, tmp_path):
    record = {"files": [{"key": "a", "size": 1, "checksum": "sha256:abc"}]}
    (archive,) = zenodo_record(39, None, tmp_path, publish(web, record))
    assert archive.md5 is None


def test_a_name_that_the_record_lacks(web, tmp_path):
    with pytest.raises(UserError, match=r"no file 'audio\.zip'; .* annotations\.csv, audio 0\.tar"):
        zenodo_record(39, ["audio.zip"], tmp_path, publish(web, NEW))


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[]", b'{"files": 3}', b'{"files": [{}]}'])
def test_a_corrupt_lock_file_is_fetched_again(web, tmp_path, text, capsys):
    (tmp_path / "zenodo_39.json").write_bytes(text)
    assert len(zenodo_record(39, None, tmp_path, publish(web, NEW))) == 2
    assert "zenodo_39.json: found no list of files" in capsys.readouterr().err
    assert json.loads((tmp_path / "zenodo_39.json").read_text()) == NEW


@pytest.mark.parametrize("answer", [b"<html>", b'{"status": 410}', b"null"])
def test_an_answer_that_is_no_record_is_not_kept(web, tmp_path, answer):
    with pytest.raises(UserError, match="/api/records/39: found no list of files"):
        zenodo_record(39, None, tmp_path, publish(web, answer))
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_cannot_be_reached(web, tmp_path):
    with pytest.raises(UserError, match=r"/api/records/39: HTTP status 404.*kept in .*zenodo_39"):
        zenodo_record(39, None, tmp_path, web.address + "/api/records")
    api = publish(web, NEW)
    web.faults["/api/records/39"] = [status(429, Retry_After="1")]
    assert len(zenodo_record(39, None, tmp_path, api)) == 2


def test_a_hostile_file_name_is_refused(web, tmp_path):
    record = {"files": [{"key": "../../evil", "size": 1, "checksum": A}]}
    with pytest.raises(UserError, match="expected a plain file name"):
        zenodo_record(39, None, tmp_path, publish(web, record))
