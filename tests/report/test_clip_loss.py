import numpy as np
import pytest

from report.clip_loss import clip_losses
from report.run import Predictions


def test_by_hand():
    predictions = Predictions(
        np.arange(2), np.array([[0.9, 0.5], [0.2, 0.8]]), np.array([[1, 0], [0, 1]]) > 0
    )
    tags = [-(np.log(0.9) + np.log(0.5)) / 2, -np.log(0.8)]
    assert clip_losses(predictions, "multi_label") == pytest.approx(tags)
    assert clip_losses(predictions, "single_label") == pytest.approx([-np.log(0.9), -np.log(0.8)])


def test_a_probability_of_0_has_a_finite_loss():
    predictions = Predictions(np.arange(1), np.array([[0.0, 1.0]]), np.array([[True, False]]))
    assert np.isfinite(clip_losses(predictions, "single_label")).all()
