from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.tables.clips import Clip, ClipTable
from data.tables.label_enhancement import THRESHOLDS, with_enhanced_labels
from data.tables.targets import Targets

CLASSES = ("Animal", "Bark", "Dog", "Music")
RELATIVES = {"Animal": {"Dog"}, "Dog": {"Bark", "Animal"}, "Bark": {"Dog", "Animal"}, "Music": ()}
LABELS = [{"Animal"}, {"Animal", "Dog"}, {"Bark"}, {"Music"}, {"Bark", "Dog"}]
PROBABILITIES = np.array(
    [  # Animal, Bark, Dog, Music
        [0.750, 0.90, 0.625, 0.9],  # the Dog is not above the mean, a Bark is no child of Animal
        [0.500, 0.75, 0.500, 0.1],  # a Bark
        [0.750, 0.50, 0.500, 0.9],  # an Animal, although no Dog
        [0.990, 0.99, 0.990, 0.5],  # nothing is related to Music
        [0.625, 0.25, 0.750, 0.1],  # the Animal is not above the mean
    ],
    np.float32,
)


def table_of(labels, classes=CLASSES):
    clips = [
        Clip(
            id=f"{n:03d}",
            path=Path(f"{n}.wav"),
            labels=None if one is None else dict.fromkeys(one, 1.0),
            split="train",
        )
        for n, one in enumerate(labels)
    ]
    return ClipTable.of(clips, classes, "multi_label")


def labels_of(table):
    return [{table.classes[k] for k in np.flatnonzero(row)} for row in table.targets[:]]


def test_children_and_ancestors_above_the_mean_are_added():
    """The means over the clips of each class: Animal .625, Bark .375, Dog .625, Music .5."""
    table = table_of(LABELS)
    found = with_enhanced_labels(table, np.arange(5), PROBABILITIES, RELATIVES, "mean")
    added = [set(), {"Bark"}, {"Animal"}, set(), set()]
    assert labels_of(found) == [old | new for old, new in zip(LABELS, added, strict=True)]
    assert labels_of(table) == LABELS, "the table is not changed in place"
    assert set(found.targets.matrix.data) == {1.0}


@pytest.mark.parametrize(
    ("kind", "limit"),
    [("mean", 0.375), ("median", 0.25), ("p25", 0.1875), ("p10", 0.15), ("p5", 0.1375)],
)
def test_a_threshold_is_that_of_the_probabilities_of_the_clips_of_a_class(kind, limit):
    """Of three clips of Bark, with 1/8, 1/4 and 3/4; percentiles are interpolated."""
    for more, is_added in ((0, False), (1e-3, True)):
        probabilities = np.array([[0, 0.125], [0, 0.25], [0, 0.75], [0.5, limit + more]])
        table = table_of([{"Bark"}] * 3 + [{"Dog"}], ("Dog", "Bark"))
        found = with_enhanced_labels(table, np.arange(4), probabilities, {"Dog": {"Bark"}}, kind)
        assert ("Bark" in labels_of(found)[3]) is is_added


def test_a_class_of_no_training_clip_is_not_added():
    table = table_of([{"Dog"}, {"Bark"}], ("Dog", "Bark"))
    found = with_enhanced_labels(table, np.arange(1), np.ones((1, 2)), {"Dog": {"Bark"}}, "p5")
    assert labels_of(found) == [{"Dog"}, {"Bark"}]


def test_a_clip_without_labels_stays_without():
    table = table_of([{"Dog"}, {"Bark"}, None], ("Dog", "Bark"))
    probabilities = np.array([[0.5, 0.9], [0.9, 0.5], [0.9, 0.9]])
    relatives = {"Dog": {"Bark"}, "Bark": {"Dog"}}
    found = with_enhanced_labels(table, np.arange(3), probabilities, relatives, "mean")
    assert labels_of(found) == [{"Dog", "Bark"}, {"Dog", "Bark"}, set()]
    assert found.labelled.tolist() == [True, True, False]


def test_a_target_below_one_half_is_no_label():
    classes = ("Dog", "Bark")
    soft = [{"Dog": 0.6, "Bark": 0.2}, {"Bark": 1.0}, {"Dog": 0.2, "Bark": 0.8}]
    columns = table_of([{}] * 3, classes).columns
    table = ClipTable(columns, Targets.of(soft, classes), classes, "multi_label")
    probabilities = np.array([[0.5, 0.9], [0.9, 0.5], [0.1, 0.5]])
    relatives = {"Dog": {"Bark"}, "Bark": {"Dog"}}
    found = with_enhanced_labels(table, np.arange(3), probabilities, relatives, "mean")
    assert found.targets[:] == pytest.approx(np.array([[0.6, 1], [1, 1], [0.2, 0.8]]))


# Any labels ---------------------------------------------------------------------------------------

NAMES = tuple("abcdef")
some = st.sets(st.sampled_from(NAMES))


@st.composite
def cases(draw):
    labels = draw(st.lists(some, min_size=1, max_size=12))
    rows = np.flatnonzero(draw(arrays(bool, len(labels))))
    levels = st.integers(0, 16).map(lambda n: n / 16)  # so that some are equal
    probabilities = draw(arrays(np.float32, (len(rows), len(NAMES)), elements=levels))
    relatives = draw(st.dictionaries(st.sampled_from(NAMES), some))
    return labels, rows, probabilities, relatives


@given(cases(), st.sampled_from(list(THRESHOLDS)))
def test_as_one_label_after_the_other(case, kind):
    labels, rows, probabilities, relatives = case
    statistic = {"mean": np.mean, "median": np.median}.get(
        kind, lambda values: np.percentile(values, int(kind[1:]))
    )
    expected = [set(one) for one in labels]
    for place, row in enumerate(rows):
        for label in labels[row]:
            for other in relatives.get(label, ()):
                k = NAMES.index(other)
                of_class = [probabilities[p, k] for p, r in enumerate(rows) if other in labels[r]]
                if of_class and probabilities[place, k] > statistic(np.float64(of_class)):
                    expected[row].add(other)
    found = with_enhanced_labels(table_of(labels, NAMES), rows, probabilities, relatives, kind)
    assert labels_of(found) == expected


@given(cases())
def test_labels_are_only_added_and_more_of_them_at_a_lower_threshold(case):
    labels, rows, probabilities, relatives = case
    table = table_of(labels, NAMES)
    before = table.targets[:]
    for kind in ("median", "p25", "p10", "p5"):
        found = with_enhanced_labels(table, rows, probabilities, relatives, kind).targets[:]
        assert (found >= before).all()
        before = found
    others = np.setdiff1d(np.arange(len(labels)), rows)
    assert (before[others] == table.targets[others]).all()
