import numpy as np
import pytest

from report.clip_loss import clip_losses
from report.run import Judged


def test_by_hand():
    judged = Judged(
        np.arange(2), np.array([[0.9, 0.5], [0.2, 0.8]]), np.array([[1, 0], [0, 1]]) > 0
    )
    tags = [-(np.log(0.9) + np.log(0.5)) / 2, -np.log(0.8)]
    assert clip_losses(judged, "multi_label") == pytest.approx(tags)
    assert clip_losses(judged, "single_label") == pytest.approx([-np.log(0.9), -np.log(0.8)])


def test_what_was_ruled_out_has_a_finite_loss():
    judged = Judged(np.arange(1), np.array([[0.0, 1.0]]), np.array([[True, False]]))
    assert np.isfinite(clip_losses(judged, "single_label")).all()
