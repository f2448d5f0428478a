import os
import shutil
import sys

import numpy as np
import pytest

from config import ConfigError, UserError
from data.datasets.folder import Folder
from data.tables.sources import check_unchanged, fingerprints
from data.tables.splits import folds_of, split_clips


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def many(label, count):
    return [f"{label}{n}.wav" for n in range(count)]


def test_each_folder_is_a_class_and_the_root_has_recordings_without_labels(tmp_path):
    root = make(tmp_path, "dog/a.WAV", "cat/b.flac", "cat/c.opus", "street.mp3", "dog/notes.txt")
    make(root, ".git/x.wav", "cat/.b.wav", "readme.md", "empty/nothing.txt")
    dataset = Folder()
    with pytest.warns(UserWarning, match="no recordings in empty$"):
        table = dataset.table(root)
    assert (dataset.task, dataset.metric) == (table.task, "accuracy")
    assert table.classes == ("cat", "dog")
    assert table.ids[:].tolist() == ["cat/b.flac", "cat/c.opus", "dog/a.WAV", "street.mp3"]
    assert table.targets[:].tolist() == [[1, 0], [1, 0], [0, 1], [0, 0]]
    assert table.labelled.tolist() == [True, True, True, False]
    assert table.frame["path"].tolist() == [(root / name).as_posix() for name in table.ids]
    assert table.frame["group"].tolist() == table.ids[:].tolist(), "hold-out needs groups"


def test_the_folder_of_a_class_may_be_a_link(tmp_path):
    make(tmp_path / "store", "barks/a.wav", "barks/.b.wav")
    root = make(tmp_path / "here", "cat/b.wav", "street.wav")
    (root / "dog").symlink_to("../store/barks", target_is_directory=True)
    (root / ".dog").symlink_to("dog", target_is_directory=True)
    table = Folder().table(root)
    assert table.classes == ("cat", "dog")
    assert table.ids[:].tolist() == ["cat/b.wav", "dog/a.wav", "street.wav"]


def test_containers_that_only_ffmpeg_reads_are_recordings_also_without_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)  # they are then reported, not left out
    names = ("cat/c.webm", "cat/d.flac", "cat/e.3gp", "dog/a.wav", "dog/b.M4A")
    assert Folder().table(make(tmp_path, *names)).ids[:].tolist() == list(names)


def test_the_folds_are_balanced_by_class_and_do_not_depend_on_the_root(tmp_path):
    names = many("dog/", 12) + many("cat/", 10) + many("", 7)
    table = Folder(num_folds=4).table(make(tmp_path / "here", *names))
    assert folds_of(table, ()) == (1, 2, 3, 4)
    folds = table.frame["fold"]
    labels = np.where(table.labelled, table.targets[:].argmax(axis=1), -1)
    counts = {k: np.bincount(folds[labels == k])[1:].tolist() for k in (-1, 0, 1)}
    assert counts == {-1: [2, 2, 2, 1], 0: [3, 3, 2, 2], 1: [3, 3, 3, 3]}
    again = Folder(num_folds=4).table(make(tmp_path / "there", *reversed(names)))
    assert again.frame["fold"].tolist() == folds.tolist()
    assert folds[labels == 1].tolist() != sorted(folds[labels == 1].tolist()), "not in name order"


def test_a_fold_tests_labelled_recordings_and_trains_on_the_others(tmp_path):
    table = Folder().table(make(tmp_path, *many("dog/", 10), *many("cat/", 10), *many("", 10)))
    split = split_clips(table, 2, "held_out", 0.25)
    assert len(split.test) == 4
    assert table.labelled[split.test].all()
    assert table.labelled[split.validation].all()
    assert split.test_name == "fold 2"
    assert (~table.labelled[split.train]).sum() == 8


def test_recordings_without_any_label_have_the_classes_of_the_teacher(tmp_path):
    root = make(tmp_path, *many("", 10))
    with pytest.raises(UserError, match="no clip has a label; set .data. CLASSES to the classes"):
        Folder().table(root)
    dataset = Folder(classes=("siren", "dog"), task="multi_label")
    table = dataset.table(root)
    assert (table.classes, dataset.metric) == (("siren", "dog"), "mean_average_precision")
    assert not table.labelled.any()
    assert not table.targets[:].any()
    split = split_clips(table, 1, "held_out", 0.25)
    assert split.test_name == "fold 1, agreement with the teacher"
    assert (len(split.train), len(split.validation), len(split.test)) == (6, 2, 2)


@pytest.mark.parametrize("names", [("cat/a.wav", "dog/b.wav"), ("cat/a.wav", "b.wav")])
@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "cat").rename(root / "fox"),
        lambda root: make(root, "fox/c.wav"),
        lambda root: make(root, "cat/c.wav"),
    ],
)
def test_a_change_of_the_folders_is_noticed(tmp_path, names, change):
    found = fingerprints(Folder().sources(make(tmp_path / "rec", *names)))
    check_unchanged(found, "start again")
    change(tmp_path / "rec")
    with pytest.raises(UserError, match=r"rec(/cat)?: changed since .*; start again$"):
        check_unchanged(found, "start again")


@pytest.mark.parametrize("name", ["cat/a.wav", "a.wav"])
def test_recordings_of_another_machine_are_not_compared(tmp_path, name):
    found = fingerprints(Folder().sources(make(tmp_path / "rec", name)))
    shutil.rmtree(tmp_path / "rec")
    check_unchanged(found, "start again")


def test_folders_that_are_no_classes_are_refused(tmp_path):
    with pytest.raises(UserError, match="no recordings in it or in its folders"):
        Folder().table(make(tmp_path, "dog/readme.txt"))
    make(tmp_path, "train/dog/a.wav", "dog/b.wav")
    message = r"found deeper ones \(csv_folder reads any layout\):\n  train/dog/a.wav$"
    with pytest.raises(UserError, match=message):
        Folder().table(tmp_path)


def test_one_fold_is_none():
    with pytest.raises(ConfigError, match="num_folds: found 1, expected at least 2"):
        Folder(num_folds=1)


def test_nothing_is_downloaded(tmp_path):
    with pytest.raises(UserError, match="folder reads your own recordings"):
        Folder().download(tmp_path)


def test_names_that_are_not_utf8_are_listed(tmp_path):
    make(tmp_path, "dog/a.wav")
    (tmp_path / os.fsdecode(b"dog/caf\xe9.wav")).touch()
    message = r"names that are not UTF-8; rename these files:\n  'dog/caf\\udce9.wav'$"
    with pytest.raises(UserError, match=message):
        Folder().table(tmp_path)
