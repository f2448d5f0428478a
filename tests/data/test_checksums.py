import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.checksums import (
    Damaged,
    read_finished,
    read_record,
    record_text,
    sha256_of,
    unsealed,
    write_record,
    write_sealed,
)

CONTENT = {"name": "é", "figures": {"score": 0.1 + 0.2, "none": None}, "epochs": [1, 2]}


@pytest.fixture
def record(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"some content")
    (tmp_path / "b.bin").write_bytes(b"")
    path = tmp_path / "record.json"
    write_record(path, CONTENT, {n: sha256_of(tmp_path / n) for n in ("a.bin", "b.bin")})
    return path


def test_a_record_is_read_as_it_was_written(record):
    found = read_finished(record, "")
    assert {name: found[name] for name in CONTENT} == CONTENT
    assert found["files"]["b.bin"].startswith("e3b0c44298fc1c149afbf4c8996fb924")
    assert json.loads(record.read_text())["name"] == "é", "as others read it"


@settings(derandomize=True, deadline=None, max_examples=200)
@given(data=st.data())
def test_no_flipped_bit_of_a_record_changes_what_is_read(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("flip") / "record.json"
    content = bytearray(record_text(CONTENT, {"a": "12"}).encode())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with suppress(Damaged):  # not raised where white space became other white space
        assert read_record(path, "") == {**CONTENT, "files": {"a": "12"}}


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b'{"checksum": 1}'])
def test_other_content_is_no_record(tmp_path, content):
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(Damaged, match=r"record\.json: changed or damaged, .*; start again"):
        read_record(tmp_path / "record.json", "start again")


DAMAGE = {
    "changed or damaged, its checksum is wrong": [
        lambda path: path.write_bytes(b"some cOntent"),
        lambda path: path.write_bytes(b"some conten"),
        lambda path: path.write_bytes(b""),
    ],
    "missing": [lambda path: path.unlink()],
}


@pytest.mark.parametrize(("fault", "damage"), [(k, d) for k, v in DAMAGE.items() for d in v])
def test_the_damaged_file_of_a_record_is_named(record, fault, damage):
    damage(record.with_name("a.bin"))
    with pytest.raises(Damaged, match=f"a.bin: {fault}; start again"):
        read_finished(record, "start again")
    assert read_finished(record, "", ["b.bin"])["epochs"] == [1, 2], "it alone was checked"


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(Damaged, match=r"record\.json: missing; start again"):
        read_record(tmp_path / "record.json", "start again")


@settings(derandomize=True, deadline=None, max_examples=100)
@given(content=st.binary(max_size=40), data=st.data())
def test_a_sealed_file_notices_every_flip_and_every_cut(tmp_path_factory, content, data):
    path = tmp_path_factory.mktemp("sealed") / "file"
    write_sealed(path, content[:7], memoryview(content)[7:])
    whole = path.read_bytes()
    assert unsealed(whole) == content
    flipped = bytearray(whole)
    flipped[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert unsealed(bytes(flipped)) is None
    assert unsealed(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


def test_a_record_of_another_version_is_named_by_what_it_lacks(tmp_path):
    write_record(tmp_path / "a.json", {"old": 1}, {})
    record = read_record(tmp_path / "a.json", "make it again")
    assert record["old"] == 1
    for entries, name in ((record, "new"), (record["files"], "b.csv")):
        with pytest.raises(Damaged, match=f"a.json: without '{name}', so of another version; make"):
            entries[name]
