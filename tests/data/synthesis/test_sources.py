import numpy as np
import pytest
from scipy.fft import rfft, rfftfreq

from data.synthesis.sources import SOURCES
from data.synthesis.taxonomy import FINE

RATE, N = 16_000, 24_000

CENTROID_HZ = {  # where the mean of the power spectrum of a source may lie
    "1-1": (40, 1500),
    "1-2": (25, 1500),
    "1-3": (20, 1500),
    "2-1": (400, 4500),
    "2-2": (150, 4500),
    "2-3": (60, 3000),
    "2-4": (60, 3000),
    "2-X": (50, 1500),
    "3-1": (50, 5000),
    "4-1": (300, 4500),
    "4-2": (800, 6000),
    "4-3": (200, 5000),
    "5-1": (250, 3500),
    "5-2": (500, 4000),
    "5-3": (350, 3500),
    "5-4": (800, 3500),
    "6-1": (60, 2500),
    "6-2": (40, 1500),
    "6-3": (450, 3000),
    "7-1": (100, 2500),
    "7-2": (200, 2500),
    "7-3": (100, 2500),
    "7-4": (350, 3000),
    "8-1": (200, 3500),
}


def render(code: str, seed: int) -> np.ndarray:
    return SOURCES[code](np.random.default_rng(seed), N, RATE)


def centroid(signal: np.ndarray) -> float:
    power = np.abs(rfft(signal)) ** 2
    return float(np.sum(rfftfreq(len(signal), 1 / RATE) * power) / power.sum())


def test_every_complete_class_has_a_source():
    assert set(SOURCES) <= set(FINE)
    assert {code for code in FINE if not code.endswith("X")} <= set(SOURCES)


@pytest.mark.parametrize("code", SOURCES)
def test_a_source_is_finite_audible_and_in_its_band(code: str):
    low, high = CENTROID_HZ[code]
    for seed in range(4):
        signal = render(code, seed)
        assert signal.shape == (N,)
        assert np.isfinite(signal).all()
        assert signal.std() > 1e-3
        assert low < centroid(signal) < high


@pytest.mark.parametrize("code", SOURCES)
def test_a_source_repeats_itself_for_a_seed_and_never_for_two(code: str):
    first, other = render(code, 0), render(code, 1)
    assert np.array_equal(first, render(code, 0))
    likeness = first @ other / np.sqrt((first @ first) * (other @ other))
    assert abs(likeness) < 0.5


def test_a_siren_sweeps_and_a_reverse_beeper_does_not():
    def peaks(code: str, seed: int) -> np.ndarray:
        frames = render(code, seed)[: 23 * 1024].reshape(23, 1024)
        loud = frames[frames.std(axis=1) > 0.3 * frames.std()]
        return rfftfreq(1024, 1 / RATE)[np.abs(rfft(loud * np.hanning(1024))).argmax(axis=1)]

    assert np.median([np.ptp(peaks("5-3", seed)) for seed in range(9)]) > 100
    assert np.median([np.ptp(peaks("5-4", seed)) for seed in range(9)]) < 32


def test_a_jackhammer_strikes_eleven_to_twenty_four_times_a_second():
    for seed in range(4):
        power = render("2-2", seed) ** 2
        loud = power[power.cumsum() > 0.05 * power.sum()][:12_000]
        rhythm = np.abs(rfft(loud - loud.mean(), 4 * RATE))[: 4 * 30]
        assert 10 <= (rhythm[4 * 8 :].argmax() + 4 * 8) / 4 <= 25
