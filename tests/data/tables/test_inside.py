import os

import pytest

from config import UserError
from data.tables.clips import Clip, ClipTable
from data.tables.inside import check_inside


def table(root, name):
    return ClipTable.of([Clip("a", root / name, {"dog": 1.0}, "train")], ["dog"], "single_label")


@pytest.fixture
def root(tmp_path):
    """A folder with a recording, beside a folder and a file of others, with links to them."""
    for folder in ("root/park", "roots"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("root/park/a.wav", "secret.wav", "roots/b.wav"):
        (tmp_path / file).touch()
    root = tmp_path / "root"
    (root / "link.wav").symlink_to(tmp_path / "secret.wav")
    (root / "near.wav").symlink_to("park/a.wav")
    (root / "folder").symlink_to(tmp_path / "roots")
    return root


OUTSIDE = ("../secret.wav", "park/../../secret.wav", "link.wav", "folder/b.wav", "../roots/b.wav")


@pytest.mark.parametrize("name", [*OUTSIDE, "/etc/passwd", "../absent.wav", "..", "park/.."])
def test_a_recording_outside_the_root_is_refused(root, name):
    with pytest.raises(UserError, match=r"outside .*OUTSIDE_ROOT = allow"):
        check_inside(table(root, name), root)


@pytest.mark.parametrize("name", ["park/a.wav", "near.wav", "park/../near.wav", "absent.wav"])
def test_a_recording_inside_is_not(root, name, monkeypatch):
    check_inside(table(root, name), root)
    check_inside(table(root, str(root / name)), root)
    monkeypatch.chdir(root)
    check_inside(table(type(root)("."), name), type(root)("."))


def test_the_root_itself_may_be_a_link(root, tmp_path):
    os.symlink(root, tmp_path / "linked")
    check_inside(table(tmp_path / "linked", "park/a.wav"), tmp_path / "linked")
