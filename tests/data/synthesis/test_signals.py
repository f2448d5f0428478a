import numpy as np
import pytest

from data.synthesis.signals import (
    band_pass,
    buzz,
    coloured_noise,
    gate,
    harmonics,
    place,
    reverberate,
    rms,
    sculpt,
)

RATE = 16_000


def tone(hz: float, n: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(n) / RATE)


@pytest.mark.parametrize("slope", [0.0, -3.0, -6.0])
def test_noise_falls_by_its_slope_an_octave(slope: float):
    noise = coloured_noise(np.random.default_rng(0), 8 * RATE, RATE, slope)
    power = np.abs(np.fft.rfft(noise)) ** 2
    hz = np.fft.rfftfreq(len(noise), 1 / RATE)

    def density(low: float, high: float) -> float:
        return power[(hz >= low) & (hz < high)].mean()

    octaves = np.log2(4000 / 500)
    fall = 10 * np.log10(density(3900, 4100) / density(490, 510)) / octaves
    assert rms(noise) == pytest.approx(1)
    assert fall == pytest.approx(slope, abs=0.3)


def test_harmonics_equal_sums_of_sines():
    time = np.arange(1, RATE + 1) / RATE
    expected = sum(
        a * np.sin(2 * np.pi * 100 * k * time) for k, a in ((1, 1.0), (2, 0.5), (4, 0.3))
    )
    np.testing.assert_allclose(
        harmonics(np.full(RATE, 100.0), RATE, (1, 0.5, 0, 0.3)), expected, atol=2e-3
    )


def test_harmonics_above_the_band_are_silent():
    np.testing.assert_array_equal(harmonics(np.full(100, 7300.0), RATE, (1.0, 1.0)), 0)
    two = harmonics(np.full(RATE, 3000.0), RATE, (1.0, 1.0, 1.0, 1.0))
    assert np.flatnonzero(np.abs(np.fft.rfft(two)) > 100).tolist() == [3000, 6000]


def test_a_buzz_has_equal_harmonics_below_the_top_of_the_band():
    spectrum = np.abs(np.fft.rfft(buzz(np.full(RATE, 200.0), RATE)))
    lines = np.flatnonzero(spectrum > 1e-3 * spectrum.max())
    assert lines.tolist() == list(range(200, 7201, 200))
    np.testing.assert_allclose(spectrum[lines], spectrum[200], rtol=1e-6)


def test_sculpting_with_gain_one_changes_nothing():
    signal = np.random.default_rng(0).standard_normal(4001)
    same = sculpt(signal, RATE, lambda hz, seconds: np.ones((len(seconds), hz.shape[1])))
    np.testing.assert_allclose(same, signal, atol=1e-12)


def test_sculpting_moves_with_time():
    def late_treble(hz, seconds):
        return np.where(seconds < 0.5, hz < 1000, hz > 1000).astype(float)

    out = sculpt(tone(500) + tone(3000), RATE, late_treble)
    early, late = np.abs(np.fft.rfft(out[:7000])), np.abs(np.fft.rfft(out[-7000:]))
    assert early.argmax() == round(500 * 7000 / RATE)
    assert late.argmax() == round(3000 * 7000 / RATE)
    np.testing.assert_allclose(out[1000:7000], tone(500)[1000:7000], atol=0.02)


@pytest.mark.parametrize(
    ("low", "high", "kept"), [(0, 1000, 200), (2000, 8000, 5000), (500, 2000, 1000)]
)
def test_a_band_pass_keeps_its_band(low: float, high: float, kept: float):
    for hz in (50, 200, 1000, 5000, 7900):
        gain = rms(band_pass(tone(hz), RATE, low, high)[8000:]) / rms(tone(hz))
        assert (gain > 0.9) if hz == kept else (gain < 0.9 or low <= hz <= high)


def test_place_cuts_what_falls_outside():
    into = np.zeros(4)
    place(into, np.array([1.0, 2.0, 3.0]), -1)
    place(into, np.array([1.0, 2.0, 3.0]), 3, gain=10)
    place(into, np.ones(3), 9)
    assert into.tolist() == [2, 3, 0, 10]


def test_a_gate_is_open_between_its_times():
    opened = gate(100, 100, 0.2, 0.5, rise=0.1)
    assert opened[[5, 15, 20, 35, 50, 55, 70]] == pytest.approx([0, 0.5, 1, 1, 1, 0.5, 0])


def test_an_echo_comes_late_and_fades():
    click = np.zeros(RATE)
    click[0] = 1.0
    echo = reverberate(np.random.default_rng(0), click, RATE, decay=0.5, wet=1.0)
    assert echo[0] == pytest.approx(1)
    assert np.abs(echo[1 : int(0.005 * RATE)]).max() < 1e-12
    fall = 20 * np.log10(rms(echo[4000:4400]) / rms(echo[800:1200]))
    assert fall == pytest.approx(-60 * 0.2 / 0.5, abs=2)
    assert rms(echo[1:]) * np.sqrt(RATE - 1) == pytest.approx(1, rel=1e-6)
