"""Accuracies, log loss and confusion matrix against values worked out by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from metrics import scenes

# Truth a a a b; predicted a a b b. No clip is c.
SCORES = np.array([[0.5, 0.3, 0.2], [0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.25, 0.5, 0.25]])
TARGETS = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]])


def test_confusion_matrix():
    matrix = scenes.confusion_matrix(SCORES, TARGETS)
    np.testing.assert_array_equal(matrix, [[2, 1, 0], [0, 1, 0], [0, 0, 0]])
    assert matrix.dtype.kind == "i"


def test_accuracies():
    assert scenes.accuracy(SCORES, TARGETS) == pytest.approx(3 / 4)
    np.testing.assert_allclose(scenes.class_accuracy(SCORES, TARGETS), [2 / 3, 1, np.nan])
    assert scenes.macro_accuracy(SCORES, TARGETS) == pytest.approx(5 / 6)
    balanced = balanced_accuracy_score(TARGETS.argmax(axis=1), SCORES.argmax(axis=1))
    assert scenes.macro_accuracy(SCORES, TARGETS) == pytest.approx(balanced)


def test_the_first_of_equal_scores_is_predicted():
    assert scenes.accuracy(np.full((2, 2), 0.5), np.eye(2)) == pytest.approx(1 / 2)


def test_log_loss():
    expected = -(math.log(0.5) + math.log(0.8) + math.log(0.2) + math.log(0.5)) / 4
    assert scenes.log_loss(SCORES, TARGETS) == pytest.approx(expected)


def test_log_loss_of_a_confident_error_is_bounded():
    assert scenes.log_loss(np.eye(2), np.eye(2)) == 0
    wrong = scenes.log_loss(np.eye(2), 1 - np.eye(2))
    assert wrong == pytest.approx(15 * math.log(10))


def test_metrics_by_group():
    found = scenes.by_group(SCORES, TARGETS, ["s1", "a", "s1", "a"])
    assert list(found) == ["a", "s1"]
    assert found["a"] == pytest.approx(
        {"accuracy": 1, "log_loss": -(math.log(0.8) + math.log(0.5)) / 2, "clips": 2}
    )
    assert found["s1"] == pytest.approx(
        {"accuracy": 1 / 2, "log_loss": -(math.log(0.5) + math.log(0.2)) / 2, "clips": 2}
    )
