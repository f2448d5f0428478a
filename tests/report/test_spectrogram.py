import numpy as np
import pytest

from config import Mel
from report.spectrogram import downsampled, on_mel, overlaid, scaled

FOUR, EIGHT = Mel(num_bands=4), Mel(num_bands=8)


def test_a_map_of_the_size_of_the_mel_is_unchanged():
    generator = np.random.default_rng(0)
    one = generator.uniform(size=(1, 5, 8))
    assert on_mel(one, EIGHT, EIGHT, 5) == pytest.approx(scaled(one[0]))


def test_the_mean_of_magnitudes_over_channels():
    two = np.zeros((2, 3, 4))
    two[0, 0, 0], two[1, 1, 1] = -4.0, 2.0
    found = on_mel(two, FOUR, FOUR, 3)
    assert found[0, 0] == 1
    assert found[1, 1] == pytest.approx(0.5)
    assert found[2].max() == 0


def test_a_map_of_half_the_size_is_interpolated_between_its_centres():
    # Two frames over six: cells end in the middle, their centres lie at frames 1 and 4.
    low_then_high = np.array([[[0.0], [3.0]]])
    found = on_mel(low_then_high, FOUR, FOUR, 6)
    assert found[:, 0] == pytest.approx([0, 0, 1 / 3, 2 / 3, 1, 1])


def test_other_bands_are_matched_in_hertz():
    # Upper half of one mel, all of another: what is high there lies above the middle here.
    upper = Mel(num_bands=4, mel_min_hz=2000, mel_max_hz=7500)
    whole = Mel(num_bands=32, mel_min_hz=125, mel_max_hz=7500)
    highest = np.zeros((1, 2, 4))
    highest[..., 3] = 1
    found = on_mel(highest, upper, whole, 2)[0]
    assert found[-1] == 1
    assert found[:16].max() == 0


def test_neighbouring_frames_are_averaged():
    mel = np.repeat(np.arange(480.0)[:, None], 3, axis=1)
    found = downsampled(mel)
    assert found.shape == (240, 3)
    assert found[:2, 0].tolist() == [0.5, 2.5]
    assert downsampled(mel[:7]).tolist() == mel[:7].tolist()


def test_a_mel_is_grey_where_the_map_is_zero():
    grey = overlaid(np.array([[0.0, 1.0]]), np.zeros((1, 2)))
    assert np.ptp(grey, axis=2).max() == 0
    assert np.ptp(overlaid(np.array([[0.0, 1.0]]), np.ones((1, 2))), axis=2).min() > 0.3
