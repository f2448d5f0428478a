import warnings
from pathlib import Path

import numpy as np
import pytest

from config import UserError
from data.datasets import audioset
from data.datasets.audioset import AudioSet, read_segments
from data.tables.clips import ClipTable

NAMES = ["Speech", "Male speech, man speaking", 'a "quoted" sound']
NAMES += [f"sound {k}" for k in range(3, 527)]
MIDS = ["/m/09x0r", "/m/05zppz", "/t/dd00003", *(f"/m/{k:05}" for k in range(3, 527))]
VOCABULARY = "index,mid,display_name\n" + "".join(
    '{},{},"{}"\n'.format(k, mid, name.replace('"', '""'))
    for k, (mid, name) in enumerate(zip(MIDS, NAMES, strict=True))
)
BALANCED = (  # by YouTube: 11 characters, among them - and _
    '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00003"\n'
    '--ZhevVpy1s, 50.000, 60.000, "/m/05zppz"\n'
    'Yab_cdefg-Y, 0.000, 10.000, "/m/00526,/m/09x0r"\n'
)
UNBALANCED = 'aaaaaaaaa_1, 5.500, 15.500, "/m/00003"\n'
EVAL = '-0RWZT-miFs, 420.000, 430.000, "/m/00003,/m/00004"\nbbbbbbbbbb_, 0.000, 6.000, "/m/00005"\n'
TABLES = {"balanced_train": BALANCED, "unbalanced_train": UNBALANCED, "eval": EVAL}
WHOLE = ("--PJHxphWEs", "--ZhevVpy1s", "Yab_cdefg-Y", "-0RWZT-miFs", "bbbbbbbbbb_")


def head(rows: str) -> str:
    """The comments above the rows of a published table."""
    count = rows.count("\n")
    return (
        "# Segments csv created Sun Mar  5 10:54:31 2017\n"
        f"# num_ytids={count}, num_segs={count}, num_unique_labels=527, num_positive_labels=5\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
    )


def write_tables(root: Path, **changed: str) -> None:
    root.mkdir(exist_ok=True)
    (root / "class_labels_indices.csv").write_text(changed.pop("vocabulary", VOCABULARY))
    for name, rows in (TABLES | changed).items():
        (root / f"{name}_segments.csv").write_text(head(rows) + rows)


@pytest.fixture
def write(tmp_path):
    """The tables, and empty files for recordings; gives the root."""

    def made(*files: str, **changed: str) -> Path:
        write_tables(tmp_path, **changed)
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        return tmp_path

    return made


def found_by(root: Path) -> dict[str, str]:
    """Id -> where its recording lies below the root; warnings are of no interest."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = AudioSet(subset="full").table(root)
    paths = (Path(path).relative_to(root).as_posix() for path in table.columns["path"])
    return dict(zip(table.ids, paths, strict=True))


def test_labels_go_by_mid_and_names_keep_their_commas(write, recwarn):
    root = write(*(f"{name}.wav" for name in WHOLE))
    dataset = AudioSet()
    table = dataset.table(root)
    assert not list(recwarn), "all of it is there"
    assert (dataset.task, dataset.metric) == ("multi_label", "mean_average_precision")
    assert table.classes == tuple(NAMES)
    assert list(table.ids) == sorted(WHOLE)
    labels = {
        name: np.flatnonzero(row).tolist()
        for name, row in zip(table.ids, table.targets[:], strict=True)
    }
    assert labels == {
        "--PJHxphWEs": [0, 2],
        "--ZhevVpy1s": [1],
        "Yab_cdefg-Y": [0, 526],
        "-0RWZT-miFs": [3, 4],
        "bbbbbbbbbb_": [5],
    }
    assert set(table.targets.matrix.data) == {1.0}
    frame = table.frame
    assert frame["split"].to_dict() == {
        **dict.fromkeys(WHOLE[:3], "train"),
        **dict.fromkeys(WHOLE[3:], "test"),
    }
    assert list(frame["group"]) == list(frame.index), "a video has one segment"
    table.write(root)
    assert ClipTable.read(root).frame.equals(frame)


def test_full_adds_the_unbalanced_segments(write):
    root = write("aaaaaaaaa_1.wav", *(f"{name}.wav" for name in WHOLE))
    table = AudioSet(subset="full").table(root)
    assert table.frame.loc["aaaaaaaaa_1", "split"] == "train"
    assert len(table) == 6


@pytest.mark.parametrize(
    "name",
    [
        *("--PJHxphWEs.wav", "Y--PJHxphWEs.flac", "deep/er/--PJHxphWEs.MP3"),
        *("--PJHxphWEs_30.000.wav", "--PJHxphWEs_30000.ogg", "Y--PJHxphWEs_30.opus"),
        *("Speech/--PJHxphWEs_30.000-40.000.wav", "--PJHxphWEs_30000_40000.aiff"),
    ],
)
def test_names_of_recordings(write, name):
    root = write(name, "aaaaaaaaa_1.wav", "-0RWZT-miFs.wav")
    assert found_by(root)["--PJHxphWEs"] == name


@pytest.mark.parametrize(
    "name",
    ["--PJHxphWEs.json", "X--PJHxphWEs.wav", "--PJHxphWE.wav", "a--PJHxphWEs_30.wav", ".wav"],
)
def test_names_that_are_no_recordings(write, name):
    root = write(name, "Yab_cdefg-Y.wav", "aaaaaaaaa_1.wav", "-0RWZT-miFs.wav")
    assert list(found_by(root)) == ["-0RWZT-miFs", "Yab_cdefg-Y", "aaaaaaaaa_1"]


def test_an_id_may_begin_with_y_and_end_like_a_start(write):
    root = write("YYab_cdefg-Y.wav", "aaaaaaaaa_1_5500.wav", "bbbbbbbbbb__0.wav")
    assert found_by(root) == {
        "Yab_cdefg-Y": "YYab_cdefg-Y.wav",
        "aaaaaaaaa_1": "aaaaaaaaa_1_5500.wav",
        "bbbbbbbbbb_": "bbbbbbbbbb__0.wav",
    }


def test_of_several_recordings_the_first_by_its_path_is_taken(write):
    files = [f"{folder}/--PJHxphWEs.wav" for folder in ("c", "a", "b")]
    root = write(*files, "aaaaaaaaa_1.wav", "-0RWZT-miFs.wav")
    assert found_by(root)["--PJHxphWEs"] == "a/--PJHxphWEs.wav"


def test_coverage_is_counted_by_table(write):
    root = write("--PJHxphWEs.wav", "--ZhevVpy1s_51.wav", "-0RWZT-miFs.wav")
    with pytest.warns(UserWarning, match="there: ") as caught:
        table = AudioSet().table(root)
    assert len(table) == 2
    assert str(caught[0].message) == (
        f"{root}: recordings that are there: 1 of 3 of balanced_train_segments.csv (33.3%), "
        "1 of 2 of eval_segments.csv (50.0%); files of other segments of a video, left out: 1"
    )


def test_the_message_about_a_table_without_recordings_names_the_fix(write):
    root = write("--PJHxphWEs.wav")
    with pytest.raises(UserError, match=r"0 of 2 of eval_segments.csv \(0.0%\)\. Google does not"):
        AudioSet().table(root)


def test_tables_that_are_not_there_are_listed(write):
    root = write()
    (root / "eval_segments.csv").unlink()
    with pytest.raises(UserError, match=r"no eval_segments.csv; run .* with --download, which"):
        AudioSet().table(root)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            BALANCED + 'ccccccccccc, 0, 9, "/m/nope,/m/09x0r,/m/nor"\n' * 2,
            r"balanced_train_segments.csv: labels that are not in class_labels_indices.csv: 2\n"
            r"  /m/nope \(2 times\)\n  /m/nor \(2 times\)",
        ),
        ('ccccccccccc, 0, 9, "/m/09x0r, /m/05zppz"\n', r" /m/05zppz \(1 times\)"),
        (
            "ccccccccccc, 0, 9, /m/09x0r,/m/05zppz\n",
            "'ccccccccccc, 0, 9, .*' has 5 fields, expected",
        ),
        ("ccccccccccc, 0, 9\n", "the row 'ccccccccccc, 0, 9' has 3 fields, expected YTID"),
        ("cccccccccc, 0, 9, /m/09x0r\n", "'cccccccccc' is no YouTube id of 11 characters"),
        ("ccccccccccc, x, 9, /m/09x0r\n", "start_seconds: .*'x'"),
        ("", "has no segment"),
    ],
)
def test_rows_that_are_wrong(write, rows, message):
    with pytest.raises(UserError, match=message):
        AudioSet().table(write(balanced_train=rows))


def test_a_table_that_was_cut_and_one_without_its_comments(write):
    root = write()
    path = root / "balanced_train_segments.csv"
    path.write_text(head(BALANCED) + BALANCED.partition("Yab")[0])
    with pytest.raises(UserError, match="has 2 segments, .* promise 3: it is truncated"):
        read_segments(path, MIDS)
    path.write_text(BALANCED)
    assert len(read_segments(path, MIDS).ids) == 3


def test_a_video_in_two_tables_is_refused(write):
    again = BALANCED.partition("\n")[0] + "\n"
    with pytest.raises(UserError, match=r"more than one segment, .*: 1\n  --PJHxphWEs"):
        AudioSet().table(write("--PJHxphWEs.wav", eval=EVAL + again))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("526,", "527,", "expected the indices 0 to 526 in order"),
        ("/m/00526", "/m/00525", "/m/00525 is listed more than once"),
        ("sound 526", "sound 525", "expected each class once"),
        ("display_name", "name", "no column 'display_name'"),
    ],
)
def test_another_vocabulary_is_refused(write, old, new, message):
    root = write(*(f"{name}.wav" for name in WHOLE), vocabulary=VOCABULARY.replace(old, new))
    with pytest.raises(UserError, match=message):
        AudioSet().table(root)


def test_the_rows_are_read_block_by_block(write, monkeypatch):
    root = write(*(f"{name}.wav" for name in WHOLE))
    at_once = AudioSet().table(root)
    monkeypatch.setattr(audioset, "BLOCK", 2)
    by_two = AudioSet().table(root)
    assert by_two.frame.equals(at_once.frame)
    np.testing.assert_array_equal(by_two.targets[:], at_once.targets[:])


def test_the_tables_are_fetched_but_not_the_recordings(write, tmp_path, monkeypatch, web, capsys):
    made, root = write(), tmp_path / "fetched"
    for path in made.glob("*.csv"):
        web.put(f"/http/{path.name}", path.read_bytes())
    monkeypatch.setattr(audioset, "URL", web.address + "/{scheme}/{name}")
    AudioSet().download(root)
    assert sorted(path.name for path in root.glob("*.csv")) == [
        "balanced_train_segments.csv",
        "class_labels_indices.csv",
        "eval_segments.csv",
    ]
    AudioSet(subset="full").download(root)
    assert (root / "unbalanced_train_segments.csv").exists()
    assert "warning: class_labels_indices.csv: found md5" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"put yours into any folder below it, named <YouTube id>"):
        AudioSet().table(root)
