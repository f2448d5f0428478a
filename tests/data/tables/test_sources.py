import os
import shutil
from pathlib import Path

import pytest

from config import UserError
from data.tables.sources import check_unchanged, fingerprints


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rec/dog").mkdir(parents=True)
    Path("rec/clips.csv").write_text("filename,label\na.wav,dog\n")
    Path("rec/dog/a.wav").touch()
    return fingerprints([Path("rec/clips.csv"), Path("rec/dog")])


def test_files_that_were_only_touched_are_unchanged(place):
    os.utime("rec/clips.csv", (1, 1))
    os.utime("rec/dog", (1, 1))
    Path("rec/dog/.DS_Store").touch()
    check_unchanged(place, "start again")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rec/clips.csv", lambda: Path("rec/clips.csv").write_text("filename,label\na.wav,cat\n")),
        ("rec/dog", lambda: Path("rec/dog/b.wav").touch()),
        ("rec/dog", lambda: Path("rec/dog/a.wav").unlink()),
        ("rec/clips.csv", lambda: Path("rec/clips.csv").unlink()),
    ],
)
def test_what_changed_is_named(place, name, change):
    change()
    with pytest.raises(UserError, match=f"^{name}: changed since the features.*; start again$"):
        check_unchanged(place, "start again")


def test_files_of_another_machine_are_not_compared(place):
    shutil.rmtree("rec")
    check_unchanged(place, "start again")
