"""Clip tables: round trips, and errors that name their cause."""

import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import UserError
from data.tables.clips import FILES, Clip, ClipTable, files_of, read_csv
from data.tables.columns import Column
from data.tables.targets import Targets

CLASSES = ("dog, barking", 'a "quoted" class', "Straße=Gasse", "music")
DOG, QUOTED, STREET, MUSIC = CLASSES
A = Clip(id="a.wav", path=Path("x/a.wav"), labels={MUSIC: 1.0}, split="train", group="sensor 1")
B = Clip(id="b.wav", path=Path("b.wav"), labels={DOG: 1.0}, split="validate", group="sensor 2")

texts = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    st.sampled_from(
        [
            "",
            " ",
            "nan",
            "NA",
            "1",
            "0.10",
            "a,b",
            'say "so"',
            "két fül.wav",
            "é\u0301",
            "#",
            "a\rb",
            "a\nb",
        ]
    ),
)
seconds = st.floats(0, 1e6)


@st.composite
def clips(draw):
    return Clip(
        id=draw(texts),
        path=Path(draw(texts)),
        labels=draw(st.dictionaries(st.sampled_from(CLASSES), st.floats(0, 1, width=32))),
        split=draw(texts),
        fold=draw(st.integers(0, 99)),
        group=draw(texts),
        start_seconds=draw(seconds),
        seconds=draw(st.none() | seconds),
        extras=draw(st.dictionaries(st.sampled_from(["device", "city", "annotator 3"]), texts)),
    )


def assert_same(found: ClipTable, wanted: ClipTable) -> None:
    pd.testing.assert_frame_equal(found.frame, wanted.frame, check_exact=True)
    np.testing.assert_array_equal(found.targets[:], wanted.targets[:], strict=True)
    assert (found.classes, found.task) == (wanted.classes, wanted.task)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(clips(), min_size=1, max_size=5, unique_by=lambda clip: clip.id))
def test_a_table_is_read_as_it_was_written(some):
    table = ClipTable.of(some, CLASSES, "multi_label")
    with TemporaryDirectory() as folder:
        table.write(Path(folder))
        assert_same(ClipTable.read(Path(folder)), table)


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(clips(), min_size=1, max_size=5, unique_by=lambda clip: clip.id))
def test_each_row_has_the_values_of_its_clip(some):
    table = ClipTable.of(reversed(some), CLASSES, "multi_label")
    assert list(table.ids) == sorted(clip.id for clip in some)
    for clip in some:
        row = table.frame.loc[clip.id]
        assert row["path"] == clip.path.as_posix()
        assert (row["split"], row["fold"], row["group"]) == (clip.split, clip.fold, clip.group)
        assert row["start_seconds"] == clip.start_seconds
        assert np.isnan(row["seconds"]) if clip.seconds is None else row["seconds"] == clip.seconds
        assert {k: row[k] for k in clip.extras} == clip.extras
        targets = table.targets[table.ids[:] == clip.id][0]
        assert targets.tolist() == [clip.labels.get(name, 0.0) for name in CLASSES]


def test_the_files_are_for_people_too(tmp_path):
    soft = replace(A, labels={DOG: 2 / 3, MUSIC: 1.0}, extras={"device": "phone"})
    ClipTable.of([B, soft], CLASSES, "multi_label").write(tmp_path)
    assert (tmp_path / "clips.csv").read_text("utf-8").splitlines() == [
        "id,path,split,fold,group,start_seconds,seconds,device,labels",
        'a.wav,x/a.wav,train,0,sensor 1,0.0,,phone,"dog, barking=0.666666687;music=1"',
        'b.wav,b.wav,validate,0,sensor 2,0.0,,,"dog, barking=1"',
    ]
    assert "Straße=Gasse" in (tmp_path / "classes.json").read_text("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


def test_writing_again_replaces_the_table(tmp_path):
    ClipTable.of([A, B], CLASSES, "multi_label").write(tmp_path)
    shorter = ClipTable.of([B], CLASSES, "single_label")
    shorter.write(tmp_path)
    assert_same(ClipTable.read(tmp_path), shorter)


def test_targets_are_float32_and_a_class_that_is_not_named_is_zero():
    table = ClipTable.of([A, replace(B, labels={})], CLASSES, "multi_label")
    assert table.targets[:].dtype == np.float32
    assert table.targets[:].tolist() == [[0, 0, 0, 1], [0, 0, 0, 0]]
    assert len(table) == 2


@pytest.mark.parametrize("rows", [[2, 0], np.array([2, 0])], ids=["list", "array"])
def test_take_by_position_keeps_the_order_given(rows):
    table = ClipTable.of([A, B, replace(A, id="c.wav", fold=3)], CLASSES, "multi_label")
    taken = table.take(rows)
    assert list(taken.ids) == ["c.wav", "a.wav"]
    assert taken.frame["fold"].tolist() == [3, 0]
    np.testing.assert_array_equal(taken.targets[:], table.targets[[2, 0]])


def test_take_by_mask():
    table = ClipTable.of([A, B], CLASSES, "multi_label")
    taken = table.take((table.frame["split"] == "validate").to_numpy())
    assert_same(taken, ClipTable.of([B], CLASSES, "multi_label"))


@pytest.mark.parametrize(
    ("clips", "task", "message"),
    [
        ([], "multi_label", "has no clips"),
        ([A, B, replace(B, fold=2), A], "multi_label", "two clips have the id 'a.wav'"),
        ([B, replace(A, labels={"musik": 1.0})], "multi_label", "'a.wav'.*'musik'; nearest: music"),
        ([B, replace(A, labels={})], "single_label", "'a.wav' must .* one label, has {}"),
        (
            [B, replace(A, labels={MUSIC: 0.0})],
            "single_label",
            "'a.wav' must have .* one",
        ),
        (
            [replace(A, labels={MUSIC: 1.0, DOG: 1.0})],
            "single_label",
            "'a.wav' must have .* one",
        ),
        (
            [replace(A, labels={MUSIC: 0.5, DOG: 0.3})],
            "single_label",
            "'a.wav' must have .* one",
        ),
        ([replace(A, labels={MUSIC: 1.1})], "multi_label", "'a.wav' must have targets from 0"),
        (
            [replace(A, labels={MUSIC: -0.1})],
            "multi_label",
            "'a.wav' must have targets from 0",
        ),
        ([replace(A, labels={MUSIC: float("nan")})], "multi_label", "'a.wav' must have targets"),
        ([replace(A, extras={"fold": "1"})], "multi_label", "no extra may have the name 'fold'"),
    ],
)
def test_wrong_clips_are_named(clips, task, message):
    with pytest.raises(UserError, match=message) as caught:
        ClipTable.of(clips, CLASSES, task)
    assert caught.value.exit_status == 1


@pytest.mark.parametrize("classes", [("dog", "dog"), ("dog", "cat; kitten")])
def test_wrong_classes_are_named(classes):
    with pytest.raises(UserError, match="expected each class once and without ';'"):
        ClipTable.of([replace(A, labels={})], classes, "multi_label")


def test_a_single_label_may_have_explicit_zeros():
    table = ClipTable.of([replace(A, labels={MUSIC: 1, DOG: 0})], CLASSES, "single_label")
    assert table.targets[:].tolist() == [[0, 0, 0, 1]]


# At scale -----------------------------------------------------------------------------------------


def made_of(count):
    return ClipTable.of(
        (
            Clip(
                id=f"{n:011d}_30000.wav",
                path=Path(f"audio/a_long_folder_name_of_a_data_set/{n:011d}_30000.wav"),
                labels={CLASSES[n % 4]: 1.0, CLASSES[(n + 1) % 4]: 0.5},
                split=("train", "validate")[n % 2],
                group=f"sensor {n % 50}",
                extras={"device": f"phone {n}"},
            )
            for n in range(count)
        ),
        CLASSES,
        "multi_label",
    )


def test_columns_make_the_table_that_clips_make():
    clips = [replace(A, labels={MUSIC: 1.0}), replace(B, labels={DOG: 1.0, QUOTED: 1.0})]
    columns = {
        "split": Column(np.array([b"train", b"validate"]), np.array([1, 0], np.uint8)),
        "path": Column(np.array([b"b.wav", b"x/a.wav"])),
        "id": Column(np.array([b"b.wav", b"a.wav"])),
        "group": Column.of(["sensor 2", "sensor 1"]),
    }
    rows, labels = np.array([0, 1, 0]), np.array([1, 3, 0])
    targets = Targets.of_pairs(rows, labels, (2, len(CLASSES)))
    table = ClipTable.of_columns(columns, targets, CLASSES, "multi_label")
    assert_same(table, ClipTable.of(clips, CLASSES, "multi_label"))


def test_columns_that_are_wrong_are_named():
    columns = {name: Column(np.array([b"b", b"a", b"b"])) for name in ("id", "path", "split")}
    none = Targets.of_pairs(np.array([], int), np.array([], int), (3, len(CLASSES)))
    with pytest.raises(UserError, match="two clips have the id 'b'"):
        ClipTable.of_columns(columns, none, CLASSES, "multi_label")
    empty = {name: column.take(slice(0)) for name, column in columns.items()}
    with pytest.raises(UserError, match="has no clips"):
        ClipTable.of_columns(empty, none.take(slice(0)), CLASSES, "multi_label")


def test_a_table_that_was_read_takes_few_bytes_per_clip(tmp_path):
    table = made_of(1000)
    table.write(tmp_path)
    read = ClipTable.read(tmp_path)
    held = sum(column.nbytes for column in read.columns.in_memory.values()) + read.targets.nbytes
    # id 21; codes of split, fold, group 1 each; a start 4, two columns and values 16. Further the
    # distinct splits, folds and groups, and one more start.
    assert held == 1000 * (21 + 3 + 4 + 16) + (2 * 8 + 8 + 50 * 9) + 4
    assert sorted(read.columns.in_memory) == ["fold", "group", "id", "split"]
    assert read.columns["device"][7] == "phone 7"
    assert_same(read, table)


def test_a_table_is_written_block_by_block(tmp_path, monkeypatch):
    table = made_of(100)
    for name, block in (("whole", 1000), ("blocks", 7)):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("data.tables.clips.BLOCK", block)
        table.write(tmp_path / name)
    for file in FILES:
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "blocks" / file).read_bytes()


@settings(derandomize=True, deadline=None, max_examples=50)
@given(
    st.lists(texts, min_size=1, max_size=20, unique=True), st.lists(texts, max_size=20), st.data()
)
def test_rows_are_found_by_id_in_any_order(there, wanted, data):
    clips = [Clip(id=name, path=Path(), labels={}) for name in there]
    order = np.array(data.draw(st.permutations(range(len(there)))))
    table = ClipTable.of(clips, CLASSES, "multi_label").take(order)
    own = table.ids[:].tolist()
    rows = [own.index(name) if name in own else -1 for name in wanted]
    assert table.rows_of(wanted).tolist() == rows
    assert table.rows_of(table.ids).tolist() == list(range(len(table)))


def test_recordings_are_put_together_from_their_slices_in_order(tmp_path):
    named = [("x-2", "x"), ("y-0", "y"), ("x-0", "x"), ("z-0", ""), ("x-1", "x"), ("y-1", "y")]
    labels = {"x": {MUSIC: 1.0}, "y": {DOG: 0.5}, "": {}}
    slices = [
        Clip(name, Path(f"a\n/{name}.wav"), labels[whole], "train", extras={"recording": whole})
        for name, whole in named
    ]
    ClipTable.of(slices, CLASSES, "multi_label").recordings().write(tmp_path)
    found = ClipTable.read(tmp_path)
    assert found.ids[:].tolist() == ["x", "y"]
    assert found.columns["split"][:].tolist() == ["train", "train"]
    assert [[path.stem for path in files_of(each)] for each in found.columns["path"]] == [
        ["x-0", "x-1", "x-2"],
        ["y-0", "y-1"],
    ]
    assert files_of(found.columns["path"][1])[0] == Path("a\n/y-0.wav")
    assert found.targets[:].tolist() == [[0, 0, 0, 1], [0.5, 0, 0, 0]]


def test_a_table_tells_clips_without_labels_apart(tmp_path):
    labels = {"b": None, "a": {}, "c": {"dog": 1.0}}
    clips = [Clip(id=name, path=Path(name), labels=found) for name, found in labels.items()]
    table = ClipTable.of(clips, ("dog",), "multi_label")
    table.write(tmp_path)
    for one in (table, ClipTable.read(tmp_path)):
        assert one.labelled.tolist() == [True, False, True]
        assert one.targets[:].tolist() == [[0], [0], [1]]
        assert one.take([1, 2]).labelled.tolist() == [False, True]
        assert one.groupings(np.arange(3)) == {}, "it is no extra"


def test_a_table_in_which_all_clips_are_labelled_has_no_column_of_it(tmp_path):
    table = ClipTable.of([Clip(id="a", path=Path("a"), labels={})], ("dog",), "multi_label")
    table.write(tmp_path)
    assert "labelled" not in (tmp_path / "clips.csv").read_text()
    assert ClipTable.read(tmp_path).labelled.tolist() == [True]


def test_spaces_around_the_columns_of_a_table_are_no_part_of_them(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text('filename , label,split \na.wav, "dog, barking", train\n')
    row = {"filename": "a.wav", "label": "dog, barking", "split": "train"}
    assert read_csv(path, ("filename",)) == [(2, row)]


def test_spaces_around_a_cell_do_not_count(tmp_path):
    (tmp_path / "clips.csv").write_text('filename, group \n a.wav\t,"siteA "\nb.wav,siteA\n')
    rows = read_csv(tmp_path / "clips.csv", ("filename",))
    assert rows == [
        (2, {"filename": "a.wav", "group": "siteA"}),
        (3, {"filename": "b.wav", "group": "siteA"}),
    ]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_columns_with_another_separator_are_named(tmp_path, mark):
    path = tmp_path / "clips.csv"
    path.write_text(mark.join(("filename", "label", "split")) + "\n")
    message = re.escape(f"clips.csv: its columns are separated by {mark!r}, expected ','")
    with pytest.raises(UserError, match=message):
        read_csv(path, ("filename",))
