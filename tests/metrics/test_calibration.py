"""Expected calibration error by hand."""

import numpy as np
import pytest

from metrics import calibration


def certain(confidence):
    """Rows of two classes, the first one taken with this confidence."""
    return np.stack([confidence, 1 - np.asarray(confidence)], axis=1)


def test_single_label_by_hand():
    # Two bins above 1/2 of ten: (0.6, 0.7] holds 0.65 right and 0.7 wrong, (0.9, 1] 0.95 right.
    scores = certain([0.65, 0.7, 0.95])
    targets = np.array([[1, 0], [0, 1], [1, 0]])
    expected = 2 / 3 * abs(1 / 2 - 0.675) + 1 / 3 * abs(1 - 0.95)
    error = calibration.expected_calibration_error(scores, targets, bins=10)
    assert error == pytest.approx(expected)


def test_a_boundary_belongs_to_the_bin_below():
    # 0.75 right and 0.7 wrong in one bin, (1/2, 3/4], cancel in part; in two bins they would not.
    scores, targets = certain([0.75, 0.7]), np.array([[1, 0], [0, 1]])
    error = calibration.expected_calibration_error(scores, targets, bins=4)
    assert error == pytest.approx(abs(1 / 2 - 0.725))


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not():
    assert calibration.expected_calibration_error(np.eye(3), np.eye(3)) == 0
    wrong = np.roll(np.eye(3), 1, axis=1)
    assert calibration.expected_calibration_error(np.eye(3), wrong) == 1
    assert calibration.tag_calibration_error(np.eye(3), np.eye(3)) == 0
    assert calibration.tag_calibration_error(1 - np.eye(3), np.eye(3)) == 1


def test_tags_by_hand():
    # Tag 1: 0.2 and 0.2, one of them true: |1/2 - 1/5|. Tag 2: 0 and 1, both false: 1/2 * 1.
    scores, targets = np.array([[0.2, 0.0], [0.2, 1.0]]), np.array([[1, 0], [0, 0]])
    np.testing.assert_allclose(calibration.class_calibration_error(scores, targets), [0.3, 0.5])
    assert calibration.tag_calibration_error(scores, targets) == pytest.approx(0.4)


def test_a_true_probability_is_calibrated():
    random = np.random.default_rng(0)
    probability = random.random((20_000, 2))
    targets = random.random(probability.shape) < probability
    assert calibration.tag_calibration_error(probability, targets) < 0.02
    assert calibration.tag_calibration_error(probability**3, targets) > 0.2


def test_a_reliability_diagram_by_hand():
    # Four bins: 0.1 and 0.2 in the first, one of them true; 0.9 in the last, true; none between.
    counts, said, true = calibration.reliability(
        np.array([0.1, 0.9, 0.2]), np.array([True, True, False]), bins=4
    )
    assert counts.tolist() == [2, 1]
    assert said == pytest.approx([0.15, 0.9])
    assert true == pytest.approx([0.5, 1.0])


def test_the_gaps_of_the_diagram_are_the_error():
    generator = np.random.default_rng(0)
    said = generator.uniform(size=500)
    true = generator.uniform(size=500) < said**2
    counts, mean, share = calibration.reliability(said, true)
    gap = (counts * abs(share - mean)).sum() / 500
    assert gap == pytest.approx(calibration.calibration_gap(said, true, calibration.BINS))
