"""Invalid inputs of metrics and their error messages."""

import numpy as np
import pytest

from config import UserError
from metrics.inputs import check, decisions, mean_of_defined

CLASSES, CLIPS = ["dog", "siren"], ["a.wav", "b.wav"]
GOOD_SCORES, GOOD_TARGETS = np.array([[0.25, 0.75], [1.0, 0.0]]), np.array([[0, 1], [1, 0]])


def with_cell(array, value):
    changed = np.array(array, float)
    changed[1, 0] = value
    return changed


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.0000001, 3.2])
@pytest.mark.parametrize("task", ["multi_label", "single_label"])
def test_scores_are_probabilities(value, task):
    with pytest.raises(UserError, match=r"clip b.wav, class dog: .* probability .* found"):
        check(with_cell(GOOD_SCORES, value), GOOD_TARGETS, task, CLASSES, CLIPS)


@pytest.mark.parametrize("value", [1 / 3, -1, 2, float("nan")])
@pytest.mark.parametrize("task", ["multi_label", "single_label"])
def test_labels_are_zero_or_one(value, task):
    with pytest.raises(UserError, match="clip b.wav, class dog: expected 0 or 1 as label, found"):
        check(GOOD_SCORES, with_cell(GOOD_TARGETS, value), task, CLASSES, CLIPS)


@pytest.mark.parametrize(("row", "found"), [([0, 0], 0), ([1, 1], 2)])
def test_a_single_label_is_one_label(row, found):
    targets = np.array([[0, 1], row])
    with pytest.raises(UserError, match=f"clip 1: expected exactly one label, found {found}"):
        check(GOOD_SCORES, targets, "single_label")
    check(GOOD_SCORES, targets, "multi_label")


def test_single_label_scores_sum_to_one():
    with pytest.raises(UserError, match="clip 1: expected scores that sum to 1, found 1.6"):
        check(np.array([[0.5, 0.5], [0.8, 0.8]]), GOOD_TARGETS, "single_label")
    rounded = np.array([[0.2, 0.8], [0.3333, 0.6666]], np.float16)
    scores, targets = check(rounded, GOOD_TARGETS, "single_label")
    assert (scores.dtype, targets.dtype) == (np.float64, bool)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (2,), (4,), (1, 2, 2)])
def test_shapes_must_agree(shape):
    with pytest.raises(UserError, match="same shape"):
        check(GOOD_SCORES, np.zeros(shape), "multi_label")


@pytest.mark.parametrize("shape", [(0, 2), (2, 0), (0, 0), (3,)])
def test_an_empty_input_is_an_error(shape):
    with pytest.raises(UserError, match="same shape"):
        check(np.zeros(shape), np.zeros(shape), "multi_label")


@pytest.mark.parametrize("classes", [["dog"], ["dog", "dog"], ["dog", "siren", "music"]])
def test_class_names_are_different_and_as_many_as_columns(classes):
    with pytest.raises(UserError, match="expected 2 different class names"):
        check(GOOD_SCORES, GOOD_TARGETS, "multi_label", classes)


def test_an_unknown_task_is_an_error():
    with pytest.raises(UserError, match="single_label or multi_label, found 'tags'"):
        check(GOOD_SCORES, GOOD_TARGETS, "tags")


@pytest.mark.filterwarnings("error")
def test_the_mean_leaves_nan_out():
    assert mean_of_defined(np.array([0.2, np.nan, 0.6])) == pytest.approx(0.4)
    assert np.isnan(mean_of_defined(np.array([np.nan])))


def test_decisions_are_the_most_probable_class_or_all_probable_tags():
    scores = np.array([[0.6, 0.4], [0.5, 0.5], [0.2, 0.8]])
    assert decisions(scores, "single_label").tolist() == [[1, 0], [1, 0], [0, 1]]
    assert decisions(scores, "multi_label").tolist() == [[1, 0], [1, 1], [0, 1]]
