import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.tables.clips import Clip, ClipTable
from data.tables.label_share import kept_clips, with_label_share

CLASSES = ("a", "b", "c")


def table_of(labels, task="single_label"):
    clips = [
        Clip(id=f"{n:03d}", path=Path(f"{n}.wav"), labels=one, split="train")
        for n, one in enumerate(labels)
    ]
    return ClipTable.of(clips, CLASSES, task)


@given(
    st.lists(st.sampled_from([*CLASSES, None]), min_size=1, max_size=60).filter(any),
    st.integers(1, 99),
    st.integers(0, 9),
)
def test_each_class_keeps_a_share_of_its_labels_and_at_least_one(names, percent, seed):
    share = percent / 100
    table = table_of([None if name is None else {name: 1.0} for name in names])
    rows = np.arange(0, len(names), 2)  # the others are validation and test clips
    found = with_label_share(table, rows, share, seed)
    others = np.setdiff1d(np.arange(len(names)), rows)
    assert (found.labelled[others] == table.labelled[others]).all()
    for name, targets in zip(CLASSES, table.targets[rows].T, strict=True):
        count = int(targets.sum())
        kept = found.targets[rows][:, CLASSES.index(name)].sum()
        assert kept == -(-percent * count // 100)
    assert (found.targets[:][found.labelled] == table.targets[:][found.labelled]).all()
    assert not found.targets[:][~found.labelled].any()
    assert (found.classes, found.task) == (table.classes, table.task)
    again = with_label_share(table, rows, share, seed)
    assert (again.labelled == found.labelled).all()


@given(
    st.lists(st.sets(st.sampled_from(CLASSES)), min_size=1, max_size=60),
    st.integers(1, 99),
    st.integers(0, 9),
)
def test_each_tag_and_clips_without_tags_keep_their_share(tags, percent, seed):
    table = table_of([dict.fromkeys(names, 1.0) for names in tags], "multi_label")
    found = with_label_share(table, np.arange(len(tags)), percent / 100, seed)
    with_none = ~table.targets[:].any(axis=1, keepdims=True)
    present = np.hstack([table.targets[:] > 0, with_none])
    count, kept = present.sum(axis=0), present[found.labelled].sum(axis=0)
    least = -(-percent * count // 100)
    assert (kept >= least).all()
    assert kept[-1] == least[-1]
    assert found.labelled.sum() <= least.sum()


@pytest.mark.parametrize(
    ("share", "clips", "kept"), [(0.07, 100, 7), (0.14, 50, 7), (0.55, 100, 55), (0.1, 320, 32)]
)
def test_a_share_is_the_decimal_number_as_it_is_written(share, clips, kept):
    found = with_label_share(table_of([{"a": 1.0}] * clips), np.arange(clips), share, 0)
    assert found.labelled.sum() == kept


@given(st.decimals("0.001", "0.999", places=3), st.integers(1, 10**6))
def test_the_number_of_kept_clips_is_exact(share, clips):
    assert kept_clips(float(share), clips) == math.ceil(share * clips)


def test_every_label_is_kept_at_a_share_of_one():
    table = table_of([{"a": 1.0}, {"b": 1.0}])
    assert with_label_share(table, np.arange(2), 1.0, 0) is table


def test_another_seed_keeps_other_labels():
    table = table_of([{"a": 1.0}] * 50)
    kept = [with_label_share(table, np.arange(50), 0.2, seed).labelled for seed in (1, 2)]
    assert (kept[0] != kept[1]).any()
