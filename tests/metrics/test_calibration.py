"""Expected calibration error against values worked out by hand."""

import numpy as np
import pytest

from metrics import calibration


def two_class_scores(confidence):
    """Rows of two classes; the first one has this probability."""
    return np.stack([confidence, 1 - np.asarray(confidence)], axis=1)


def test_single_label_by_hand():
    # Two bins above 1/2 of ten: (0.6, 0.7] holds 0.65 right and 0.7 wrong, (0.9, 1] 0.95 right.
    scores = two_class_scores([0.65, 0.7, 0.95])
    targets = np.array([[1, 0], [0, 1], [1, 0]])
    expected = 2 / 3 * abs(1 / 2 - 0.675) + 1 / 3 * abs(1 - 0.95)
    error = calibration.expected_calibration_error(scores, targets, bins=10)
    assert error == pytest.approx(expected)


def test_a_bin_edge_belongs_to_the_lower_bin():
    # 0.75 right and 0.7 wrong in one bin, (1/2, 3/4], cancel in part; in two bins they would not.
    scores, targets = two_class_scores([0.75, 0.7]), np.array([[1, 0], [0, 1]])
    error = calibration.expected_calibration_error(scores, targets, bins=4)
    assert error == pytest.approx(abs(1 / 2 - 0.725))


def test_full_confidence_is_calibrated_only_if_correct():
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


def test_the_bins_of_tags_can_be_chosen():
    # In one bin the errors of 0.2 and 0.8, 0.2 too low and 0.2 too high, cancel; in two they add.
    scores, targets = np.array([[0.2], [0.8]]), np.array([[0], [1]])
    assert calibration.tag_calibration_error(scores, targets, bins=1) == pytest.approx(0)
    assert calibration.tag_calibration_error(scores, targets, bins=2) == pytest.approx(0.2)


def test_labels_sampled_from_the_probabilities_are_calibrated():
    random = np.random.default_rng(0)
    probability = random.random((20_000, 2))
    targets = random.random(probability.shape) < probability
    assert calibration.tag_calibration_error(probability, targets) < 0.02
    assert calibration.tag_calibration_error(probability**3, targets) > 0.2


def test_a_reliability_diagram_by_hand():
    # Four bins: 0.1 and 0.2 in the first, one of them true; 0.9 in the last, true; none between.
    counts, confidence, frequency = calibration.reliability(
        np.array([0.1, 0.9, 0.2]), np.array([True, True, False]), bins=4
    )
    assert counts.tolist() == [2, 1]
    assert confidence == pytest.approx([0.15, 0.9])
    assert frequency == pytest.approx([0.5, 1.0])


@pytest.mark.parametrize("power", [0, 2, 1000])
def test_the_error_is_the_mean_gap_of_the_diagram_of_scikit_learn(power):
    generator = np.random.default_rng(0)
    confidence = np.append(generator.uniform(size=500), np.linspace(0, 1, calibration.BINS + 1))
    correct = generator.uniform(size=len(confidence)) < confidence**power
    counts, mean, frequency = calibration.reliability(confidence, correct)
    gap = (counts * abs(frequency - mean)).sum() / len(confidence)
    found = calibration.calibration_gap(confidence, correct, calibration.BINS)
    assert gap == pytest.approx(found)
