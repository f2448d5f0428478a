import csv
import shutil
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import UserError
from data.datasets.sonyc_ust import SonycUst
from data.tables.splits import split_clips, units_of
from tests import sonyc
from tests.sonyc import FOLDER as REAL
from tests.sonyc import needs_annotations as needs_real

COARSE, FINE = list(sonyc.COARSE), list(sonyc.FINE)
SMALL, MEDIUM, DRILL, IMPACT, TALK, DOG = (FINE[k] for k in (0, 1, 4, 9, 23, 28))
ENGINE, MACHINERY, NON_MACHINERY = COARSE[:3]


def taxonomy_text():
    lines = ["fine:"]
    for coarse in COARSE:
        lines.append(f"    {coarse[0]}:")
        for fine in (name for name in FINE if name[0] == coarse[0]):
            key, name = fine[2:].split("_")
            lines.append(f"        {key}: {name}")
    lines.append("coarse:")
    lines += [f"    {coarse.replace('_', ': ')}" for coarse in COARSE]
    return "\n".join(lines)


def row(split, name, annotator, *marked):
    """A row of annotations.csv with the marked fine tags, and what follows from them, present."""
    coarse = {c: int(any(m[0] == c[0] for m in marked if m in FINE)) for c in COARSE}
    found = {"split": split, "sensor_id": str(int(name[:2])), "audio_filename": name}
    found |= {"annotator_id": str(annotator)}
    found |= {f"{f}_presence": f"{float(f in marked)}" for f in FINE}
    found |= {f"{f}_proximity": "near" if f in marked else "-1" for f in FINE}
    return found | {f"{c}_presence": f"{v}" for c, v in coarse.items()}


def write(root, rows, name="annotations.csv"):
    root.mkdir(parents=True, exist_ok=True)
    (root / "dcase-ust-taxonomy.yaml").write_text(taxonomy_text())
    with (root / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return root


def targets(table):
    """Clip -> {class: target}, zeros left out."""
    return {
        name: {table.classes[k]: float(target[k]) for k in np.flatnonzero(target)}
        for name, target in zip(table.ids, table.targets, strict=True)
    }


@pytest.fixture
def small(tmp_path):
    """One training clip with three volunteers, one validate and one test clip."""
    rows = [
        row("train", "03_000001.wav", 11, SMALL, TALK),
        row("train", "03_000001.wav", 12, SMALL, DOG),
        row("train", "03_000001.wav", 13, MEDIUM, DOG),
        row("validate", "10_000002.wav", 14, TALK),
        row("validate", "10_000002.wav", 0, DOG),
        row("test", "11_000003.wav", 0),
    ]
    return write(tmp_path, rows)


def test_the_columns_of_the_fixture_are_those_of_the_published_file(small):
    header = (small / "annotations.csv").read_text().partition("\n")[0].split(",")
    assert len(header) == 70
    if REAL.is_dir():
        with (REAL / "annotations-dev.csv").open() as file:
            assert header == file.readline().strip().split(",")


# Labels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "train"),
    [
        (
            {"labels": "union"},
            {ENGINE: 1.0, "7_human-voice": 1.0, "8_dog": 1.0},
        ),
        ({"labels": "majority"}, {ENGINE: 1.0, "8_dog": 1.0}),
        (
            {"labels": "mean"},
            {ENGINE: 2 / 3, "7_human-voice": 1 / 3, "8_dog": 2 / 3},
        ),
        (
            {"labels": "mean", "coarse": "shipped"},
            {ENGINE: 1.0, "7_human-voice": 1 / 3, "8_dog": 2 / 3},
        ),
        (
            {"labels": "union", "level": "fine"},
            {SMALL: 1.0, MEDIUM: 1.0, TALK: 1.0, DOG: 1.0},
        ),
        ({"labels": "majority", "level": "fine"}, {SMALL: 1.0, DOG: 1.0}),
        (
            {"labels": "mean", "level": "fine"},
            {SMALL: 2 / 3, MEDIUM: 1 / 3, TALK: 1 / 3, DOG: 2 / 3},
        ),
    ],
)
def test_volunteers_become_targets(small, options, train):
    table = SonycUst(**options).table(small)
    fine = options.get("level") == "fine"
    assert table.classes == tuple(FINE if fine else COARSE)
    assert targets(table)["03_000001.wav"] == pytest.approx(train)
    assert targets(table)["10_000002.wav"] == {DOG if fine else "8_dog": 1.0}
    assert targets(table)["11_000003.wav"] == {}


def test_a_table_has_split_group_and_sensor(small):
    table = SonycUst().table(small)
    assert table.task == "multi_label"
    assert table.folds == 0
    assert list(table.frame["split"]) == ["train", "validate", "test"]
    assert list(table.frame["group"]) == ["3", "10", "11"]
    assert list(table.frame["sensor_id"]) == ["3", "10", "11"]
    assert set(table.frame["fold"]) == {0}


def test_half_of_the_volunteers_is_no_majority(tmp_path):
    rows = [row("train", "00_1.wav", 1, DOG), row("train", "00_1.wav", 2)]
    table = SonycUst(labels="majority").table(write(tmp_path, rows))
    assert targets(table) == {"00_1.wav": {}}


def test_a_verified_row_takes_precedence_and_team_rows_are_ignored(tmp_path):
    rows = [
        row("train", "00_1.wav", 5, DOG, TALK),
        row("train", "00_1.wav", -2, TALK),
        row("train", "00_1.wav", 0, SMALL),
        row("train", "00_2.wav", 5, TALK),
        row("train", "00_2.wav", -1, DOG),
    ]
    root = write(tmp_path, rows)
    for labels in ("union", "majority", "mean"):
        found = targets(SonycUst(labels=labels).table(root))
        assert found == {"00_1.wav": {ENGINE: 1.0}, "00_2.wav": {"7_human-voice": 1.0}}
    assert targets(SonycUst(labels="verified").table(root)) == {"00_1.wav": {ENGINE: 1.0}}


def test_minus_one_counts_neither_for_nor_against(tmp_path):
    unlabelled = {f"{DOG}_presence": "-1.0", "8_dog_presence": "-1"}
    rows = [
        row("train", "00_1.wav", 1, DOG),
        row("train", "00_1.wav", 2) | unlabelled,
        row("train", "00_1.wav", 3) | unlabelled,
        row("train", "00_2.wav", 1, TALK) | unlabelled,
    ]
    root = write(tmp_path, rows)
    for coarse in ("recomputed", "shipped"):
        for labels in ("union", "majority", "mean"):
            found = targets(SonycUst(labels=labels, coarse=coarse).table(root))
            assert found == {"00_1.wav": {"8_dog": 1.0}, "00_2.wav": {"7_human-voice": 1.0}}


def test_verified_labels_require_a_verified_training_clip(small):
    with pytest.raises(UserError, match="annotations.csv: no training clip has a verified row"):
        SonycUst(labels="verified").table(small)


def test_coarse_columns_as_shipped_or_recomputed_and_one_warning(tmp_path):
    shipped = {f"{MACHINERY}_presence": "1"}
    rows = [
        row("train", "00_1.wav", 1, IMPACT) | shipped,
        row("train", "00_2.wav", 1, IMPACT) | shipped,
        row("train", "00_3.wav", 1, DRILL),
    ]
    root = write(tmp_path, rows)
    for coarse, expected in (
        ("recomputed", {NON_MACHINERY: 1.0}),
        ("shipped", {MACHINERY: 1.0, NON_MACHINERY: 1.0}),
    ):
        with pytest.warns(UserWarning, match="annotations.csv") as caught:
            table = SonycUst(coarse=coarse).table(root)
        (warning,) = caught
        assert f"({MACHINERY} in 2 rows)" in str(warning.message)
        assert targets(table)["00_1.wav"] == expected
        assert targets(table)["00_3.wav"] == {MACHINERY: 1.0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SonycUst(level="fine").table(root)


def test_spam_rows_can_be_dropped(tmp_path):
    rows = [
        row("train", "00_1.wav", 95, *FINE),
        row("train", "00_1.wav", 2, DOG),
        row("train", "00_2.wav", 3, *FINE[1:]),
        row("validate", "01_1.wav", 0, *FINE),
    ]
    root = write(tmp_path, rows)
    kept = targets(SonycUst(level="fine").table(root))
    dropped = targets(SonycUst(level="fine", drop_spam=True).table(root))
    assert kept["00_1.wav"] == dropped["01_1.wav"] == dict.fromkeys(FINE, 1.0)
    assert dropped["00_1.wav"] == {DOG: 1.0}
    assert dropped["00_2.wav"] == kept["00_2.wav"] == dict.fromkeys(FINE[1:], 1.0)


def test_a_clip_with_nothing_but_spam_is_left_out_and_counted(tmp_path):
    rows = [row("train", "00_1.wav", 95, *FINE), row("train", "00_2.wav", 2, DOG)]
    root = write(tmp_path, rows)
    with pytest.warns(UserWarning, match="because no usable row labels them: 1$"):
        table = SonycUst(drop_spam=True).table(root)
    assert list(table.ids) == ["00_2.wav"]


values = st.sampled_from([-1, 0, 0, 1])
annotators = st.dictionaries(
    st.integers(-2, 5), st.lists(values, min_size=5, max_size=5), min_size=1, max_size=5
)
TAGS = (SMALL, MEDIUM, DRILL, IMPACT, DOG)


def by_hand(rows, labels):
    """{annotator: values} of one training clip -> its fine targets, or None; plain loops."""
    if 0 in rows:
        rows = {0: rows[0]}
    elif labels == "verified":
        return None
    else:
        rows = {annotator: row for annotator, row in rows.items() if annotator > 0}
    if not rows:
        return None
    found = {}
    for k, tag in enumerate(TAGS):
        votes = [row[k] for row in rows.values() if row[k] != -1]
        share = votes.count(1) / len(votes) if votes else 0.0
        if labels == "mean":
            found[tag] = share
        else:
            found[tag] = float(share > 0.5 if labels == "majority" else share > 0)
    return {tag: target for tag, target in found.items() if target}


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    clips=st.lists(annotators, min_size=1, max_size=4),
    labels=st.sampled_from(["union", "majority", "mean", "verified"]),
)
def test_fine_and_recomputed_coarse_targets_agree_with_plain_loops(clips, labels):
    rows = [row("train", "00_first.wav", 0, TALK)]  # so that every rule has something to read
    expected = {"00_first.wav": {TALK: 1.0}}
    for number, clip in enumerate(clips):
        name = f"07_{number}.wav"
        for annotator, marks in clip.items():
            presence = {f"{tag}_presence": str(v) for tag, v in zip(TAGS, marks, strict=True)}
            rows.append(row("train", name, annotator) | presence)
        if (fine := by_hand(clip, labels)) is not None:
            expected[name] = fine
    coarse = {
        name: {
            c: max(v for f, v in fine.items() if f[0] == c[0])
            for c in COARSE
            if any(f[0] == c[0] for f in fine)
        }
        for name, fine in expected.items()
    }
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = write(Path(folder), rows)
        found = targets(SonycUst(labels=labels, level="fine").table(root))
        found_coarse = targets(SonycUst(labels=labels).table(root))
    assert found.keys() == expected.keys() == found_coarse.keys()
    for name in expected:
        assert found[name] == pytest.approx(expected[name])
        assert found_coarse[name] == pytest.approx(coarse[name])


# Files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["annotations.csv", "annotations-dev.csv"])
def test_recordings_are_found_in_any_folder_and_else_expected_in_their_split(tmp_path, name):
    rows = [row("train", "00_1.wav", 1, DOG), row("validate", "01_1.wav", 0, DOG)]
    root = write(tmp_path / "SONYC" / "v1", rows, name)
    recording = root / "audio-dev" / "train" / "00_1.wav"
    recording.parent.mkdir(parents=True)
    recording.touch()
    table = SonycUst().table(tmp_path)
    assert list(table.frame["path"]) == [
        recording.as_posix(),
        (root / "validate" / "01_1.wav").as_posix(),
    ]


def test_v2_has_more_columns_other_folders_and_clips_without_a_verified_row(tmp_path):
    place = {"borough": "3", "block": "1021", "latitude": "40.7", "longitude": "-73.9"}
    time = {"year": "2019", "week": "7", "day": "0", "hour": "23"}
    rows = [
        place | row("train", "00_1.wav", 1, DOG) | time,
        place | row("validate", "01_1.wav", 0, DOG) | time,
        place | row("validate", "01_2.wav", 4, DOG) | time,
        place | row("validate", "01_2.wav", -4, DOG) | time,
        place | row("test", "00_3.wav", 0, TALK) | time,
    ]
    root = write(tmp_path, rows)
    (root / "audio-17").mkdir()
    (root / "audio-17" / "00_3.wav").touch()
    with pytest.warns(UserWarning, match="because no usable row labels them: 1$"):
        table = SonycUst(version="v2").table(root)
    assert list(table.ids) == ["00_1.wav", "00_3.wav", "01_1.wav"]
    assert list(table.frame["borough"]) == ["3", "3", "3"]
    assert "latitude" not in table.frame
    assert list(table.frame["path"]) == [
        (root / "audio" / "00_1.wav").as_posix(),
        (root / "audio-17" / "00_3.wav").as_posix(),
        (root / "audio" / "01_1.wav").as_posix(),
    ]


def test_sensors_of_training_record_test_clips_too_at_a_later_time(tmp_path):
    rows = [
        row("train", "00_1.wav", 1, DOG),
        row("validate", "01_2.wav", 0, DOG),
        row("test", "00_3.wav", 0, TALK),
        row("test", "00_4.wav", 0, DOG),
        row("test", "01_5.wav", 0, DOG),
    ]
    table = SonycUst(version="v2").table(write(tmp_path, rows))
    split = split_clips(table, 0, "held_out", 0.0)
    assert list(table.ids[split.test]) == ["00_3.wav", "00_4.wav", "01_5.wav"]
    assert list(table.frame["sensor_id"]) == ["0", "0", "0", "1", "1"]
    units = units_of(table, split.test)
    assert units[0] == units[1] != units[2], "intervals resample sensors"


def test_a_recording_that_lies_twice_is_refused(small):
    for folder in ("train", "resampled"):
        (small / folder).mkdir()
        (small / folder / "03_000001.wav").touch()
    with pytest.raises(UserError, match=r"resampled/03_000001.wav and .*train/03_000001.wav"):
        SonycUst().table(small)


def test_messages_about_missing_folders_and_annotations_name_the_fix(tmp_path, small):
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(UserError, match="no annotations.csv or annotations-dev.csv") as error:
            SonycUst().table(root)
        assert str(root) in str(error.value)
        assert "--download" in str(error.value)
        assert "data.root" in str(error.value)
    (small / "dcase-ust-taxonomy.yaml").unlink()
    with pytest.raises(UserError, match="no dcase-ust-taxonomy.yaml"):
        SonycUst().table(small)


def test_two_annotation_files_are_refused(small):
    shutil.copy(small / "annotations.csv", small / "annotations-dev.csv")
    with pytest.raises(UserError, match=r"annotations-dev.csv and .*/annotations.csv: keep"):
        SonycUst().table(small)


@pytest.mark.parametrize("text", ["", "fine: [1, 2]", "coarse: {1: engine}", "fine: {{", "\x00"])
def test_a_broken_taxonomy_is_named(small, text):
    (small / "dcase-ust-taxonomy.yaml").write_text(text)
    with pytest.raises(UserError, match="dcase-ust-taxonomy.yaml: not a taxonomy"):
        SonycUst().table(small)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "dev"}, r"clip 00_1.wav, annotator 1: split is 'dev', expected train, validate"),
        ({"sensor_id": "7"}, r"clip 00_1.wav.*sensor_id is '7', expected the number"),
        ({"sensor_id": ""}, r"clip 00_1.wav.*sensor_id is ''"),
        ({"audio_filename": "street.wav"}, r"clip street.wav.*sensor_id is '0'"),
        ({"annotator_id": "Ann"}, r"annotator Ann: annotator_id is 'Ann', expected a whole number"),
        ({"annotator_id": "1.5"}, r"annotator_id is '1.5'"),
        (
            {f"{DOG}_presence": "2"},
            rf"00_1.wav, annotator 1: {DOG}_presence is '2', expected 1, 0 or",
        ),
        ({f"{DOG}_presence": ""}, rf"{DOG}_presence is ''"),
        ({f"{DOG}_presence": "0.5"}, rf"{DOG}_presence is '0.5'"),
        ({"8_dog_presence": "yes"}, r"8_dog_presence is 'yes'"),
    ],
)
def test_a_wrong_value_names_file_clip_and_column(tmp_path, change, message):
    rows = [row("train", "00_0.wav", 1), row("train", "00_1.wav", 1) | change]
    with pytest.raises(UserError, match=f"annotations.csv: .*{message}"):
        SonycUst().table(write(tmp_path, rows))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row("validate", "00_1.wav", 4, DOG)], "clip 00_1.wav .* no verified row"),
        ([row("test", "00_1.wav", -4, DOG)], "clip 00_1.wav .* no verified row"),
        (
            [row("validate", "00_1.wav", 0), row("validate", "00_1.wav", 0, DOG)],
            "clip 00_1.wav has several verified rows",
        ),
        (
            [row("train", "00_1.wav", 1), row("validate", "00_1.wav", 0)],
            "clip 00_1.wav, annotator 0: split is 'validate', expected one split per clip",
        ),
    ],
)
def test_rows_that_contradict_each_other_name_the_clip(tmp_path, rows, message):
    with pytest.raises(UserError, match=f"annotations.csv: {message}"):
        SonycUst().table(write(tmp_path, rows))


@pytest.mark.parametrize(
    "column",
    ["split", "sensor_id", "audio_filename", "annotator_id", f"{DOG}_presence", "8_dog_presence"],
)
def test_a_missing_column_is_named(tmp_path, column):
    rows = [row("train", "00_1.wav", 1)]
    del rows[0][column]
    with pytest.raises(UserError, match=f"annotations.csv: no column '{column}'"):
        SonycUst().table(write(tmp_path, rows))


def test_a_comma_at_the_end_of_each_line_moves_no_column(small):
    before = targets(SonycUst().table(small))
    header, *lines = (small / "annotations.csv").read_text().splitlines()
    (small / "annotations.csv").write_text("\n".join([header, *(line + "," for line in lines)]))
    assert targets(SonycUst().table(small)) == before


def test_a_short_line_is_named(small):
    with (small / "annotations.csv").open("a") as file:
        file.write("train,3,03_000009.wav,11,1.0\n")
    with pytest.raises(
        UserError, match="clip 03_000009.wav, annotator 11: 1_engine_presence is ''"
    ):
        SonycUst().table(small)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00\x01", b'split,"a\n1', b"a,b\n1,2,3\n1,2,3,4\n"]
)
def test_a_file_that_is_no_csv_is_named(small, content):
    (small / "annotations.csv").write_bytes(content)
    with pytest.raises(UserError, match="annotations.csv: "):
        SonycUst().table(small)


def test_a_table_without_rows_is_refused(small):
    header = (small / "annotations.csv").read_text().partition("\n")[0]
    (small / "annotations.csv").write_text(header + "\n")
    with pytest.raises(UserError, match="has no clips"):
        SonycUst().table(small)


# The real annotations ---------------------------------------------------------------------------


@needs_real
@pytest.mark.parametrize(
    ("options", "train", "validate"),
    [
        (
            {"coarse": "shipped"},
            [1269, 848, 276, 244, 549, 125, 778, 151],
            [223, 88, 73, 23, 86, 25, 199, 6],
        ),
        (
            {"coarse": "recomputed"},
            [1269, 634, 276, 244, 549, 125, 778, 151],
            [223, 16, 73, 23, 86, 25, 199, 6],
        ),
        (
            {"labels": "majority"},
            [320, 116, 49, 44, 291, 25, 431, 106],
            [223, 16, 73, 23, 86, 25, 199, 6],
        ),
        (
            {"drop_spam": True},
            [1268, 633, 275, 243, 548, 124, 777, 150],
            [223, 16, 73, 23, 86, 25, 199, 6],
        ),
    ],
)
def test_the_published_counts(options, train, validate):
    with pytest.warns(UserWarning, match="2_machinery-impact in 482 rows"):
        table = SonycUst(**options).table(REAL)
    is_train = (table.frame["split"] == "train").to_numpy()
    assert (is_train.sum(), (~is_train).sum()) == (2351, 443)
    assert table.targets[is_train].sum(axis=0).tolist() == train
    assert table.targets[~is_train].sum(axis=0).tolist() == validate
    sensors = [set(table.frame["group"][part]) for part in (is_train, ~is_train)]
    assert [len(part) for part in sensors] == [35, 8]
    assert not sensors[0] & sensors[1]


@needs_real
def test_tags_a_clip_as_published():
    with pytest.warns(UserWarning, match="482"):
        table = SonycUst(coarse="shipped").table(REAL)
    is_train = (table.frame["split"] == "train").to_numpy()
    tags = table.targets[:].sum(axis=1).astype(int)
    assert np.bincount(tags[is_train]).tolist() == [78, 929, 851, 381, 97, 14, 0, 0, 1]
    assert np.bincount(tags[~is_train]).tolist() == [9, 259, 95, 50, 26, 4]


@needs_real
def test_fine_classes_without_a_verified_positive_as_published():
    table = SonycUst(level="fine").table(REAL)
    validate = (table.frame["split"] == "validate").to_numpy()
    never = np.flatnonzero(table.targets[validate].sum(axis=0) == 0)
    assert [table.classes[k][:3] for k in never] == ["2-3", "2-4", "5-2", "5-X", "7-3"]


# Download ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FakeArchive:
    name: str
    urls: tuple[str, ...]
    size: int | None = None
    md5: str | None = None
    md5_is_binding: bool = True


@pytest.fixture
def fetched(monkeypatch):
    """Replaces data.download; records its arguments."""
    calls = []

    def zenodo_record(record, names, folder):
        return tuple(FakeArchive(name, (f"{record}",)) for name in names)

    def download(archives, folder):
        calls.append((tuple(archives), folder))

    fake = SimpleNamespace(Archive=FakeArchive, download=download, zenodo_record=zenodo_record)
    monkeypatch.setitem(sys.modules, "data.download", fake)
    return calls


@needs_real
def test_v1_is_fetched_and_counted(tmp_path, fetched):
    for name in ("annotations-dev.csv", "dcase-ust-taxonomy.yaml"):
        shutil.copyfile(REAL / name, tmp_path / name)
    with pytest.raises(UserError, match="'recordings': 0"):
        SonycUst().download(tmp_path)
    archives, folder = fetched[0]
    assert folder == tmp_path
    assert [archive.name for archive in archives] == [
        "annotations-dev.csv",
        "dcase-ust-taxonomy.yaml",
        "audio-dev.tar.gz",
    ]
    assert {archive.urls for archive in archives} == {("3233082",)}
    with pytest.warns(UserWarning, match="482"):
        paths = SonycUst().table(tmp_path).frame["path"]
    for path in paths:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).touch()
    SonycUst().download(tmp_path)
    Path(paths.iloc[0]).unlink()
    with pytest.raises(UserError, match="'recordings': 2793"):
        SonycUst().download(tmp_path)


def test_v2_is_fetched_by_its_published_checksums_and_counted(small, fetched):
    with pytest.raises(UserError, match="v2 has {'train': 13538, 'validate': 4308, 'test': 664"):
        SonycUst(version="v2").download(small)
    archives = {archive.name: archive for archive in fetched[0][0]}
    assert len(archives) == 21
    assert {f"audio-{k}.tar.gz" for k in range(19)} < archives.keys()
    assert archives["annotations.csv"].md5 == "70b507b15bb4cfcce4870925302f276b"
    assert archives["audio-18.tar.gz"].md5 == "c6b2ef4d0d5b7269d465c469cdbbdc4b"
    assert archives["audio-18.tar.gz"].urls == (
        "https://zenodo.org/records/3966543/files/audio-18.tar.gz?download=1",
    )
    assert all(len(archive.md5) == 32 for archive in archives.values())


def test_one_version_is_not_fetched_into_the_other(small, fetched):
    with pytest.raises(UserError, match="annotations.csv is not of version v1"):
        SonycUst().download(small)
    assert not fetched


def test_a_synthesised_set_needs_to_override_little(small):
    class Synthesised(SonycUst):
        clip_seconds, embedded = 4.0, True

        def download(self, root):
            raise NotImplementedError

    assert targets(Synthesised(labels="majority").table(small)) == targets(
        SonycUst(labels="majority").table(small)
    )
