"""A file is complete or absent."""

import pytest

from data.atomic_write import atomic_write, write


def test_text_and_bytes_are_written(tmp_path):
    write(tmp_path / "a", "hé")
    assert (tmp_path / "a").read_bytes() == "hé".encode()
    write(tmp_path / "a", b"\xff")
    assert (tmp_path / "a").read_bytes() == b"\xff"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write(tmp_path / "a", "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a'$"):
        write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def interrupted(path):
    with atomic_write(path) as file:
        file.write(b"half")
        assert not path.exists()
        raise KeyboardInterrupt


def test_an_interrupted_write_never_gets_the_name(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "a")
    assert not list(tmp_path.iterdir())
