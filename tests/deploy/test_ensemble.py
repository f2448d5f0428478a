import numpy as np
import pytest

from config import ConfigError, UserError
from deploy.ensemble import check_agreement, predict_windows, window_and_hop
from deploy.student import Student
from tests.deploy.stand_in import expected_probabilities, make_student


def students(folder, *changes):
    return [
        Student(make_student(folder / f"{n}.onnx", **change)) for n, change in enumerate(changes)
    ]


def test_an_ensemble_of_different_sample_rates_is_the_mean(tmp_path):
    level = 0.3
    block = np.full((24_000, 1), level, np.float32)  # 1.5 s at 16 kHz
    pair = students(tmp_path, {}, {"sample_rate": 16_000, "channels": 2, "weight": (-20.0, 20.0)})
    found = list(predict_windows(pair, [(block, 16_000)], 0.5, 0.5))
    assert [(start, end) for start, end, _ in found] == [(0, 0.5), (0.5, 1), (1, 1.5)]
    opposite = expected_probabilities(-level)  # the weights of the second student
    expected = (expected_probabilities(level) + opposite) / 2
    np.testing.assert_allclose(found[1][2], expected, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task": "single_label"}, "1.onnx is single_label, .*0.onnx is multi_label"),
        ({"classes": ["loud", "dog"]}, "it lacks quiet and adds dog"),
        ({"classes": ["quiet", "loud"]}, "it has them in another order"),
    ],
)
def test_students_of_other_tasks_or_classes_are_refused(tmp_path, change, reason):
    with pytest.raises(UserError, match=reason):
        check_agreement(students(tmp_path, {}, change))


@pytest.mark.parametrize(
    ("window", "hop", "expected"),
    [(None, None, (0.5, 0.5)), (2, None, (2, 2)), (2, 0.5, (2, 0.5)), (None, 0.1, (0.5, 0.1))],
)
def test_window_and_hop(tmp_path, window, hop, expected):
    assert window_and_hop(students(tmp_path, {}), window, hop) == expected


@pytest.mark.parametrize(
    ("window", "hop", "reason"),
    [
        (1, None, "found 1 s, but .*1.onnx takes only windows of 0.5 s"),
        (None, 0.6, "found 0.6 s, must be at most the window, 0.5 s"),
    ],
)
def test_an_unsupported_window_or_a_gap_is_refused(tmp_path, window, hop, reason):
    with pytest.raises(ConfigError, match=reason):
        window_and_hop(students(tmp_path, {}, {"any_length": False}), window, hop)


def test_a_window_shorter_than_the_least_of_a_student_is_refused(tmp_path):
    found = students(tmp_path, {}, {"least_samples": 800})
    assert window_and_hop(found, 0.1, None) == (0.1, 0.1)
    with pytest.raises(ConfigError, match=r"found 0\.09 s, must be at least 0\.1 s for .*1\.onnx"):
        window_and_hop(found, 0.09, None)
