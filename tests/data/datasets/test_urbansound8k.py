import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from config import UserError
from data.datasets.urbansound8k import CLASSES, PUBLISHED, UrbanSound8k
from data.features.decode import read
from data.tables.splits import folds_of, split_clips

REAL = Path(__file__).parents[4] / "shared" / "data" / "urbansound8k_4folds"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the recordings are not in {REAL}")

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
ROW = "77-3-0-0.wav,77,1.5,1.75,1,2,3,dog_bark"
PARTIAL = "ignore:.*clips are missing"  # stand-ins are never complete


def rows(folds=range(1, 11), clips=4):
    """`clips` slices of each fold, two of each recording."""
    found = []
    for fold in folds:
        for k in range(clips):
            source, label = 100 * fold + k // 2, k % 10
            name = f"{source}-{label}-0-{k}.wav"
            found.append(
                f"{name},{source},{k},{k + 0.25},{1 + k % 2},{fold},{label},{CLASSES[label]}"
            )
    return found


def write(root, lines, without=()):
    """The table and empty files in place of its recordings, but for those `without`."""
    (root / "metadata").mkdir(parents=True)
    (root / "metadata/UrbanSound8K.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    for line in lines:
        name, _, _, _, _, fold, *_ = line.split(",")
        if name not in without and fold not in without:
            folder = root / f"audio/fold{fold}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    return root


@pytest.mark.filterwarnings(PARTIAL)
@pytest.mark.parametrize("below", ["", "UrbanSound8K"])
def test_it_is_read_in_its_folder_or_moved_up(tmp_path, below):
    folder = write(tmp_path / below, rows())
    table = UrbanSound8k().table(tmp_path)
    assert table.task == "single_label"
    assert table.classes == CLASSES
    assert len(table) == 40
    clip = table.frame.loc["701-3-0-3.wav"]
    assert clip["path"] == (folder / "audio/fold7/701-3-0-3.wav").as_posix()
    assert (clip["fold"], clip["split"], clip["group"]) == (7, "", "701")
    assert (clip["start_seconds"], clip["seconds"]) == (0, 0.25), "a file begins with its slice"
    assert clip["salience"] == "background"
    assert table.targets[list(table.ids).index("701-3-0-3.wav")].tolist() == [0, 0, 0, 1] + [0] * 6


def test_missing_recordings_are_counted_and_left_out(tmp_path):
    root = write(tmp_path, rows(), without=("501-2-0-2.wav", "4", "9"))
    message = (
        r"8701 of 8732 clips are missing; complete folds: none; fold 1: 4 of 873 clips; .*"
        r"fold 3: 4 of 925 clips; fold 5: 3 of 936 clips; fold 6"
    )
    with pytest.warns(UserWarning, match=message):
        table = UrbanSound8k().table(root)
    assert "501-2-0-2.wav" not in table.ids[:]
    assert folds_of(table, ()) == (1, 2, 3, 5, 6, 7, 8, 10)
    split = split_clips(table, 10, "held_out", 0.0)
    assert len(split.test) == 4
    assert len(split.train) == 27


def test_a_complete_fold_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(PUBLISHED, 2, 4)
    root = write(tmp_path, rows((2, 3)))
    with pytest.warns(UserWarning, match="; complete folds: 2; fold 3: 4 of 925 clips$"):
        UrbanSound8k().table(root)


def test_a_copy_with_every_clip_gives_no_warning(tmp_path, monkeypatch, recwarn):
    for fold in PUBLISHED:
        monkeypatch.setitem(PUBLISHED, fold, 4)
    UrbanSound8k().table(write(tmp_path, rows()))
    assert not recwarn


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",2,3,", ",11,3,", "line 42: fold is '11', expected 1 to 10"),
        (",1,2,", ",3,2,", "line 42: salience is '3', expected 1 or 2"),
        ("dog_bark", "siren", "line 42: class 3 is 'siren', expected 0 to 9 for air_conditioner"),
        ("3,dog_bark", "x,dog_bark", "line 42: class x is 'dog_bark'"),
        ("77-3", "78-3", "line 42: slice_file_name is '78-3-0-0.wav', expected 77-3-…"),
        ("1.75", "1.5", "line 42: start is '1.5' and end '1.5', expected seconds"),
        ("1.75", "late", "line 42: start is '1.5' and end 'late'"),
        ("1.75", "nan", "line 42: start is '1.5' and end 'nan'"),
        (",dog_bark", "", "line 42: expected 8 fields"),
    ],
)
def test_a_wrong_row_names_its_line(tmp_path, old, new, message):
    assert old in ROW
    with pytest.raises(UserError, match=message):
        UrbanSound8k().table(write(tmp_path, [*rows(), ROW.replace(old, new)]))


@pytest.mark.filterwarnings(PARTIAL)
def test_a_repeated_row_is_refused(tmp_path):
    with pytest.raises(UserError, match="two clips have the id '100-0-0-0.wav'"):
        UrbanSound8k().table(write(tmp_path, [*rows(), rows()[0]]))


def test_no_table_and_no_recording_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="no metadata/UrbanSound8K.csv in it or in its folder"):
        UrbanSound8k().table(tmp_path)
    root = write(tmp_path, rows(), without=tuple("123456789") + ("10",))
    with pytest.raises(UserError, match="audio: none of the recordings .* is there"):
        UrbanSound8k().table(root)


def test_download_fetches_the_archive_and_counts_its_clips(tmp_path, monkeypatch):
    asked = []

    def download(archives, folder):
        asked.append((archives, folder))
        write(folder / "UrbanSound8K", rows())

    fake = SimpleNamespace(Archive=lambda *args: args, download=download)
    monkeypatch.setitem(sys.modules, "data.download", fake)
    with pytest.raises(UserError, match="found 4 recordings of fold 1, expected 873"):
        UrbanSound8k().download(tmp_path)
    url = "https://zenodo.org/records/1203745/files/UrbanSound8K.tar.gz?download=1"
    md5 = "9aa69802bbf37fb986f71ec1483a196e"
    assert asked == [((("UrbanSound8K.tar.gz", (url,), 6_023_741_708, md5),), tmp_path)]
    for fold in PUBLISHED:
        monkeypatch.setitem(PUBLISHED, fold, 4)
    UrbanSound8k().check_complete(tmp_path)


def test_the_published_folds_add_up():
    assert sum(PUBLISHED.values()) == 8732


@needs_real
def test_the_real_part():
    message = "6 of 8732.*complete folds: 1, 2, 10; fold 3: 387 of 925 clips$"
    with pytest.warns(UserWarning, match=message.replace("6 of", "5747 of")):
        table = UrbanSound8k().table(REAL)
    assert Counter(table.columns["fold"][:].tolist()) == {1: 873, 2: 888, 3: 387, 10: 837}
    assert folds_of(table, ()) == (1, 2, 3, 10)
    assert table.frame.groupby("group")["fold"].nunique().max() == 1
    for fold in (1, 2, 10):
        split = split_clips(table, fold, "held_out", 0.15)
        assert len(split.train) + len(split.validation) + len(split.test) == 2985
        assert set(table.columns["fold"][split.train].tolist()) == {1, 2, 3, 10} - {fold}


@needs_real
@pytest.mark.filterwarnings(PARTIAL)
def test_a_looped_recording_is_cut_to_its_slice():
    """The part's files last 4 s: shorter slices are repeated in them."""
    frame = UrbanSound8k().table(REAL).frame
    clip = frame[(frame["seconds"] > 0.5) & (frame["seconds"] < 1)].iloc[0]
    full, rate = read(Path(clip["path"]))
    own, _ = read(Path(clip["path"]), clip["start_seconds"], clip["seconds"])
    period = len(own)
    assert len(full) == 4 * rate
    assert period == round(clip["seconds"] * rate)
    again = full[period : 2 * period]
    assert np.corrcoef(own[:, 0], again[:, 0])[0, 1] > 0.9
