from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import ConfigError, UserError
from data.tables.clips import Clip, ClipTable
from data.tables.splits import folds_of, hold_out_groups, split_clips, units_of


def table_of(rows):
    """rows of (split, fold, group, label)."""
    clips = [
        Clip(
            id=f"{n:04d}",
            path=Path(f"{n}.wav"),
            labels={label: 1.0},
            split=split,
            fold=fold,
            group=group,
        )
        for n, (split, fold, group, label) in enumerate(rows)
    ]
    return ClipTable.of(clips, ("a", "b"), "single_label")


def splits(*names):
    return table_of([(s, 0, f"{s}{g}", "ab"[g % 2]) for s in names for g in range(6)])


def test_the_test_split_is_reported_and_validate_chooses_the_epoch():
    found = split_clips(splits("train", "validate", "test"), 0, "held_out", 0.15)
    assert (len(found.train), len(found.validation), len(found.test)) == (6, 6, 6)
    assert (found.test_name, found.validation_name) == ("test", "validate")


def test_without_a_test_split_training_groups_are_held_out():
    table = splits("train", "validate")
    found = split_clips(table, 0, "held_out", 0.34)
    assert found.test_name == "validate"
    assert found.validation_name == "held-out training clips"
    assert set(table.frame["split"].iloc[found.validation]) == {"train"}
    assert len(found.train) + len(found.validation) == 6
    assert not set(found.train) & set(found.validation)


def test_the_paper_chose_on_the_reported_split_and_trained_on_all():
    found = split_clips(splits("train", "validate"), 0, "paper", 0.15)
    assert len(found.train) == 6
    np.testing.assert_array_equal(found.validation, found.test)
    assert found.validation_name == "the test split"


def test_nothing_held_out_keeps_the_last_epoch():
    found = split_clips(splits("train", "validate"), 0, "held_out", 0.0)
    assert len(found.validation) == 0
    assert found.validation_name == "none"


def test_a_fold_is_reported_and_the_others_are_trained_on():
    table = table_of(
        [("", fold, f"{fold}-{n}", "ab"[n % 2]) for fold in (1, 2, 3) for n in range(4)]
    )
    found = split_clips(table, 2, "held_out", 0.25)
    assert set(table.frame["fold"].iloc[found.test]) == {2}
    assert set(table.frame["fold"].iloc[np.r_[found.train, found.validation]]) == {1, 3}
    assert found.test_name == "fold 2"


def test_a_group_on_both_sides_is_refused():
    table = table_of(
        [("train", 0, "same", "a"), ("train", 0, "x", "a"), ("validate", 0, "same", "b")]
    )
    with pytest.raises(UserError) as error:
        split_clips(table, 0, "held_out", 0.0)
    assert str(error.value) == (
        "the group 'same' is in both the training and the test set, such as 0000 and 0002; "
        "fix the data set's splits or folds"
    )


def recordings_of(rows, part="split"):
    """rows of (split or fold, group, recording)."""
    clips = [
        Clip(
            id=f"{n:04d}",
            path=Path(recording),
            labels={"ab"[n % 2]: 1.0},
            group=group,
            **{part: where},
        )
        for n, (where, group, recording) in enumerate(rows)
    ]
    return ClipTable.of(clips, ("a", "b"), "single_label")


@pytest.mark.parametrize("groups", [("", ""), ("morning", "evening"), ("morning", "")])
@pytest.mark.parametrize(
    ("other", "names"),
    [
        ("test", "the training and the test"),
        ("validate", "the training and the validation"),
    ],
)
def test_a_recording_on_both_sides_is_refused_whatever_its_groups_are(groups, other, names):
    rest = [(split, "", f"{split}.wav") for split in ("train", "validate", "test")]
    day = [("train", groups[0], "day.wav"), (other, groups[1], "day.wav")]
    table = recordings_of([*rest, *day])
    with pytest.raises(UserError, match=f"the recording .day.wav. is in both {names} set, such as"):
        split_clips(table, 0, "held_out", 0.15)
    assert len(split_clips(table, 0, "paper", 0.15).train) == 2


def test_a_recording_that_also_chooses_the_epoch_is_refused():
    rows = [("train", "", "a"), ("validate", "", "day.wav"), ("test", "", "day.wav")]
    with pytest.raises(UserError, match="both the validation and the test set"):
        split_clips(recordings_of(rows), 0, "held_out", 0.15)


def test_a_recording_in_two_folds_is_refused():
    table = recordings_of([(1, "", "day.wav"), (2, "", "day.wav"), (3, "", "x.wav")], "fold")
    with pytest.raises(UserError, match="'day.wav' is in both"):
        split_clips(table, 1, "held_out", 0.0)
    found = split_clips(table, 3, "held_out", 0.0)
    assert found.train.tolist() == [0, 1]


@pytest.mark.parametrize("part", ["split", "fold"])
def test_without_groups_each_recording_is_one(part):
    first, second = {"split": ("train", "test"), "fold": (1, 2)}[part]
    rows = [(first, "", f"{n // 2}.wav") for n in range(12)]
    table = recordings_of([*rows, (second, "", "t.wav")], part)
    found = split_clips(table, 0 if part == "split" else 2, "held_out", 0.33)
    assert len(found.validation) == 4
    recording = table.frame["path"].to_numpy()
    assert not set(recording[found.validation]) & set(recording[found.train])


def test_one_recording_cannot_be_held_out():
    rows = [("train", "", "day.wav"), ("train", "", "day.wav"), ("test", "", "t.wav")]
    with pytest.raises(ConfigError) as error:
        split_clips(recordings_of(rows), 0, "held_out", 0.15)
    assert str(error.value) == (
        "[data] hold_out: found 0.15, but all training clips are of one group or recording; "
        "set it to 0 to keep the last epoch"
    )


def test_of_two_groups_one_is_held_out():
    table = table_of([("train", 0, f"g{n}", "a") for n in range(2)])
    assert len(hold_out_groups(table, np.arange(2), 0.5)) == 1


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    sizes, labels = [10, 7, 1, 9, 9], "baaba"
    rows = [("train", 0, f"g{n}", labels[n]) for n in range(5) for _ in range(sizes[n])]
    table = table_of(rows)
    held = hold_out_groups(table, np.arange(len(rows)), 0.3)
    assert set(table.frame["group"].iloc[held]) == {"g1", "g3"}, "7 of 17 and 9 of 19"


def test_the_held_out_groups_are_the_same_in_every_version():
    sizes = [1 + 7 * n % 8 for n in range(40)]
    rows = [("train", 0, f"g{n:02d}", "aab"[n % 3]) for n in range(40) for _ in range(sizes[n])]
    table = table_of(rows)
    held = hold_out_groups(table, np.arange(len(rows)), 0.2)
    assert table.targets[held].sum(axis=0).tolist() == [25, 11], "0.2 * (123, 57)"
    groups = sorted(set(table.frame["group"].iloc[held]))
    assert groups == ["g00", "g01", "g07", "g11", "g12", "g19", "g20", "g30"]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["", *"abcdef"]), st.sampled_from("uvwxyz"))).filter(len))
def test_clips_are_one_group_if_a_chain_of_groups_and_recordings_joins_them(members):
    table = recordings_of([("train", group, path) for group, path in members])
    found = units_of(table)
    expected = list(range(len(members)))
    for _ in members:  # each clip takes the least number of those that it is joined to
        for n, (group, path) in enumerate(members):
            same = [
                expected[m] for m, (g, p) in enumerate(members) if p == path or group and g == group
            ]
            expected[n] = min(same)
    pairs = [(a, b) for a in range(len(members)) for b in range(a)]
    assert all((found[a] == found[b]) == (expected[a] == expected[b]) for a, b in pairs)
    assert sorted(set(found.tolist())) == list(range(max(found) + 1))


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from("pqr")), min_size=1),
    st.data(),
)
def test_groups_of_some_clips_are_those_of_a_table_of_these(members, data):
    rows = sorted(data.draw(st.sets(st.sampled_from(range(len(members))), min_size=1)))
    table, alone = (
        recordings_of([("train", *one) for one in chosen])
        for chosen in (members, [members[row] for row in rows])
    )
    assert units_of(table, np.array(rows)).tolist() == units_of(alone).tolist()
    assert units_of(table.take(np.array(rows))).tolist() == units_of(alone).tolist()


@given(st.lists(st.sampled_from(["b", "c", "a", "ab"]), min_size=1))
def test_groups_without_common_recordings_are_numbered_by_name(groups):
    table = recordings_of([("train", group, f"{n}.wav") for n, group in enumerate(groups)])
    assert units_of(table).tolist() == np.unique(groups, return_inverse=True)[1].tolist()


def test_folds_that_are_not_there_are_named():
    table = table_of([("", fold, "", "a") for fold in (1, 2)])
    assert folds_of(table, ()) == (1, 2)
    assert folds_of(table, (2,)) == (2,)
    with pytest.raises(ConfigError, match=r"^\[data\] folds: found 3; the data set has 1, 2"):
        folds_of(table, (3,))
    assert folds_of(splits("train", "validate"), ()) == (0,)


def test_a_fold_of_a_data_set_with_splits_is_named():
    with pytest.raises(ConfigError, match=r"^\[data\] folds: found 2; the data set has none$"):
        folds_of(splits("train", "test"), (2,))


def test_a_group_may_be_in_the_training_and_the_validation_split():
    rows = [(split, 0, "same", "a") for split in ("train", "validate")] + [("test", 0, "t", "b")]
    found = split_clips(table_of(rows), 0, "held_out", 0.15)
    assert (found.train.tolist(), found.validation.tolist()) == ([0], [1])


def test_an_empty_test_split_is_named():
    with pytest.raises(
        UserError, match=r"^there are no test clips: none has the split test or validate$"
    ):
        split_clips(splits("train"), 0, "held_out", 0.15)


def test_an_empty_split_is_named():
    with pytest.raises(UserError, match=r"^there are no training clips: none has the split train$"):
        split_clips(splits("validate", "test"), 0, "held_out", 0.15)


def test_an_empty_fold_is_named():
    table = table_of([("", 1, f"{n}", "a") for n in range(3)])
    with pytest.raises(UserError, match="^there are no training clips: all clips are of fold 1$"):
        split_clips(table, 1, "held_out", 0.15)
    with pytest.raises(UserError, match="^there are no test clips: none is of fold 2$"):
        split_clips(table, 2, "held_out", 0.15)


@pytest.mark.parametrize(("groups", "draws"), [(6, 200), (12, 100), (2400, 1)])
def test_fewer_candidates_are_tried_with_very_many_groups(monkeypatch, groups, draws):
    made = []

    class Counting:
        def permutation(self, count):
            made.append(count)
            return np.arange(count)

    monkeypatch.setattr("data.tables.splits.SHUFFLED", 1200)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Counting())
    table = table_of([("train", 0, f"g{n}", "ab"[n % 2]) for n in range(groups)])
    assert len(hold_out_groups(table, np.arange(groups), 0.5)) == groups // 2
    assert made == [groups] * draws


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from("ab")), min_size=8, max_size=80),
    st.floats(0.05, 0.5),
)
def test_held_out_groups_are_complete_and_near_the_share(members, share):
    table = table_of([("train", 0, f"g{group}", label) for group, label in members])
    if len(set(table.frame["group"])) < 2:
        return
    rows = np.arange(len(table))
    held = hold_out_groups(table, rows, share)
    group = table.frame["group"].to_numpy()
    assert 0 < len(held) < len(rows)
    assert not set(group[held]) & set(np.delete(group, held))
    np.testing.assert_array_equal(held, hold_out_groups(table, rows, share))
    largest = max(np.unique(group, return_counts=True)[1])
    assert len(held) <= share * len(rows) + largest


def mixed(rows):
    """rows of (split, fold, group, label or None)."""
    clips = [
        Clip(
            id=f"{n:04d}",
            path=Path(f"{n}.wav"),
            labels=None if label is None else {label: 1.0},
            split=split,
            fold=fold,
            group=group,
        )
        for n, (split, fold, group, label) in enumerate(rows)
    ]
    return ClipTable.of(clips, ("a", "b"), "single_label")


def test_clips_without_labels_are_trained_on_and_not_evaluated():
    labels = ("a", "b", None)
    table = mixed([(s, 0, "", label) for s in ("train", "validate", "test") for label in labels])
    found = split_clips(table, 0, "held_out", 0.15)
    assert found.train.tolist() == [0, 1, 2]
    assert found.validation.tolist() == [3, 4]
    assert found.test.tolist() == [6, 7]
    assert (found.test_name, found.validation_name) == ("test", "validate")


def test_groups_are_held_out_by_labels_and_with_their_clips_without():
    rows = [("train", 0, f"g{n}", label) for n in range(6) for label in ("ab"[n % 2], None)]
    table = mixed([*rows, ("train", 0, "", None), ("test", 0, "t", "a")])
    found = split_clips(table, 0, "held_out", 0.33)
    groups = table.frame["group"].to_numpy()
    assert len(found.validation) == 2
    assert table.labelled[found.validation].all()
    assert not set(groups[found.validation]) & set(groups[found.train])
    assert len(found.train) == 9, "four groups of two, and the clip without a group"


def test_a_validation_split_without_labels_is_replaced_by_held_out_clips():
    rows = [("train", 0, f"g{n}", "ab"[n % 2]) for n in range(6)]
    table = mixed([*rows, ("validate", 0, "v", None), ("test", 0, "t", "a")])
    found = split_clips(table, 0, "held_out", 0.34)
    assert found.validation_name == "held-out training clips"
    assert table.labelled[found.validation].all()
    assert len(found.validation)


def test_where_nothing_is_labelled_the_score_is_the_agreement_with_the_teacher():
    table = mixed([(s, 0, "", None) for s in ("train", "train", "validate", "test")])
    found = split_clips(table, 0, "held_out", 0.15)
    assert [len(part) for part in (found.train, found.validation, found.test)] == [2, 1, 1]
    assert found.test_name == "test, agreement with the teacher"


def test_training_without_labels_is_evaluated_on_those_of_the_test_split():
    rows = [("train", 0, f"g{n}", None) for n in range(4)]
    table = mixed([*rows, ("test", 0, "", "a"), ("test", 0, "", None)])
    found = split_clips(table, 0, "held_out", 0.25)
    assert found.test.tolist() == [4]
    assert found.test_name == "test"
    assert len(found.validation) == 1
    assert found.validation_name == "held-out training clips, agreement with the teacher"
    assert split_clips(table, 0, "held_out", 0).validation_name == "none"


def test_the_paper_cannot_choose_an_epoch_of_the_teacher_without_labels():
    table = mixed([("train", 0, "", "a"), ("test", 0, "", None)])
    with pytest.raises(ConfigError, match="protocol: found 'paper', but no clip of test has a lab"):
        split_clips(table, 0, "paper", 0.15)


def test_the_paper_takes_the_agreement_with_the_teacher_where_no_training_clip_has_a_label():
    table = mixed([("train", 0, "", None), ("validate", 0, "", "a"), ("test", 0, "", None)])
    found = split_clips(table, 0, "paper", 0.15)
    assert found.test_name == "test, agreement with the teacher"


def test_a_fold_without_labels_is_no_fold_unless_all_are():
    rows = [("", 1, "", "a"), ("", 2, "", "b"), ("", 3, "", None)]
    assert folds_of(mixed(rows), ()) == (1, 2)
    assert split_clips(mixed(rows), 1, "held_out", 0).train.tolist() == [1, 2]
    assert folds_of(mixed([(*row[:3], None) for row in rows]), ()) == (1, 2, 3)
