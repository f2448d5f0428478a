import os
from pathlib import Path

import pytest

from config import UserError
from data.tables.sources import check_unchanged, fingerprints


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("clips.csv").write_text("filename,label\na.wav,dog\n")
    Path("dog").mkdir()
    Path("dog/a.wav").touch()
    return fingerprints([Path("clips.csv"), Path("dog")])


def test_files_that_were_only_touched_are_unchanged(place):
    os.utime("clips.csv", (1, 1))
    os.utime("dog", (1, 1))
    Path("dog/.DS_Store").touch()
    check_unchanged(place, "start again")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("clips.csv", lambda: Path("clips.csv").write_text("filename,label\na.wav,cat\n")),
        ("dog", lambda: Path("dog/b.wav").touch()),
        ("dog", lambda: Path("dog/a.wav").unlink()),
    ],
)
def test_what_changed_is_named(place, name, change):
    change()
    with pytest.raises(UserError, match=f"^{name}: changed since the features.*; start again$"):
        check_unchanged(place, "start again")


def test_files_of_another_machine_are_not_compared(place):
    Path("clips.csv").unlink()
    check_unchanged(place, "start again")
