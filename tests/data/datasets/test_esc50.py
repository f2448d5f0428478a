import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from config import UserError
from data.datasets.esc50 import Esc10, Esc50

REAL = Path(__file__).parents[4] / "shared" / "data" / "esc10"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=f"the recordings are not in {REAL}")

HEADER = "filename,fold,target,category,esc10,src_file,take"
ESC10 = (0, 1, 10, 11, 12, 20, 21, 38, 40, 41)


def lines(clips_per_cell=1):
    """A table of 50 classes, written backwards so that order matters."""
    found = []
    for target in range(49, -1, -1):
        for fold in range(1, 6):
            for take in "ABCDEFGH"[:clips_per_cell]:
                source = 1000 * target + fold
                name = f"{fold}-{source}-{take}-{target}.wav"
                found.append(
                    f"{name},{fold},{target},sound_{target},{target in ESC10},{source},{take}"
                )
    return found


def write(root, rows):
    (root / "meta").mkdir(parents=True, exist_ok=True)
    (root / "meta" / "esc50.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return root


@pytest.mark.parametrize("below", ["", "ESC-50-master", "ESC-50-2.0"])
def test_esc50_is_read_in_its_folder_or_moved_up(tmp_path, below):
    folder = write(tmp_path / below, lines())
    table = Esc50().table(tmp_path)
    assert table.task == "single_label"
    assert table.classes == tuple(f"sound_{target}" for target in range(50))
    assert len(table) == 250
    assert table.folds == 5
    clip = table.frame.loc["3-14003-A-14.wav"]
    assert clip["path"] == (folder / "audio" / "3-14003-A-14.wav").as_posix()
    assert (clip["fold"], clip["split"], clip["group"]) == (3, "", "14003")
    assert table.targets[:].sum() == 250
    assert table.targets[list(table.ids).index("3-14003-A-14.wav")][14] == 1


def test_esc10_is_the_marked_part_of_esc50(tmp_path):
    table = Esc10().table(write(tmp_path, lines()))
    assert table.classes == tuple(f"sound_{target}" for target in ESC10)
    assert len(table) == 50
    assert table.targets[:].sum(axis=0).tolist() == [5] * 10


def test_esc10_alone_is_not_esc50(tmp_path):
    root = write(tmp_path, [line for line in lines() if ",True," in line])
    assert len(Esc10().table(root)) == 50
    with pytest.raises(UserError, match="found 10 targets, expected 50.*dataset = esc10"):
        Esc50().table(root)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("6-7-A-0.wav,6,0,sound_0,True,7,A", "line 252: fold is '6', expected 1 to 5"),
        ("1-7-A-50.wav,1,50,sound_50,True,7,A", "line 252: target is '50', expected 0 to 49"),
        ("1-7-A-x.wav,1,x,sound_0,True,7,A", "line 252: target is 'x'"),
        ("1-7-A-0.wav,1,0,sound_0,yes,7,A", "line 252: esc10 is 'yes', expected True or False"),
        ("1-7-A-0.wav,1,0,,True,7,A", "line 252: clip '1-7-A-0.wav' has no category"),
        ("1-7-A-0.wav,1,0,wolf,True,7,A", "line 252: target 0 is 'wolf', was 'sound_0' before"),
        (
            "1-8-A-0.wav,1,0,sound_0,True,7,A",
            "line 252: filename is '1-8-A-0.wav', expected 1-7-A-0",
        ),
        ("1-7-A-0.wav,1,0,sound_0,True,7", "line 252: expected 7 fields"),
        ("1-1-A-0.wav,1,0,sound_0,True,1,A", "two clips have the id '1-1-A-0.wav'"),
    ],
)
def test_a_wrong_row_names_its_line(tmp_path, line, message):
    with pytest.raises(UserError, match=message):
        Esc50().table(write(tmp_path, [*lines(), line]))


def test_a_missing_column_is_named(tmp_path):
    root = write(tmp_path, lines())
    path = root / "meta" / "esc50.csv"
    path.write_text(path.read_text().replace("src_file", "source"))
    with pytest.raises(UserError, match=r"esc50.csv: no column 'src_file' \(it has filename, fold"):
        Esc50().table(root)


def test_messages_about_no_table_and_two_tables_name_the_fix(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match="found none; run make_mel.py with --download"):
            Esc50().table(root)
    write(tmp_path / "ESC-50-master", lines())
    write(tmp_path / "ESC-50-main", lines())
    with pytest.raises(UserError, match=r"found .*ESC-50-main.* and .*ESC-50-master"):
        Esc50().table(tmp_path)


@needs_real
def test_the_real_esc10():
    table = Esc10().table(REAL)
    assert table.classes == (
        "dog",
        "rooster",
        "rain",
        "sea_waves",
        "crackling_fire",
        "crying_baby",
        "sneezing",
        "clock_tick",
        "helicopter",
        "chainsaw",
    )
    assert table.targets[:].sum(axis=0).tolist() == [40] * 10
    assert table.frame["fold"].value_counts().to_dict() == dict.fromkeys(range(1, 6), 80)
    assert table.frame.groupby("group")["fold"].nunique().max() == 1
    assert all(Path(path).is_file() for path in table.frame["path"])
    Esc10().check_complete(REAL)


def test_download_fetches_the_archive_and_checks_its_contents(tmp_path, monkeypatch):
    asked = []

    def download(archives, folder):
        asked.append((archives, folder))
        write(folder / "ESC-50-master", lines(clips_per_cell=8))

    fake = SimpleNamespace(Archive=lambda *args, **kwargs: (args, kwargs), download=download)
    monkeypatch.setitem(sys.modules, "data.download", fake)
    with pytest.raises(UserError, match="2000 recordings are missing, such as .*ESC-50-master"):
        Esc50().download(tmp_path)
    ((((name, urls), checks),), folder) = asked[0]
    assert (name, folder) == ("ESC-50-master.zip", tmp_path)
    assert urls[0] == "https://github.com/karolpiczak/ESC-50/archive/master.zip"
    assert checks == {"md5": "7771e4b9d86d0945acce719c7a59305a", "md5_is_binding": False}
    audio = tmp_path / "ESC-50-master" / "audio"
    audio.mkdir()
    for name in Esc50().table(tmp_path).ids:
        (audio / name).touch()
    Esc50().download(tmp_path)
    Esc10().download(tmp_path)


def test_a_table_that_is_short_of_clips_is_not_complete(tmp_path):
    with pytest.raises(UserError, match="expected 8 clips of each class in each of 5 folds"):
        Esc50().check_complete(write(tmp_path, lines(clips_per_cell=8)[1:]))
