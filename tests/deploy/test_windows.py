import tracemalloc

import numpy as np
import pytest

from data.features.decode import convert
from deploy.windows import AudioSpec, windows

LOW, HIGH = AudioSpec(8000, 1), AudioSpec(16_000, 2)


def blocks(samples, rate, size):
    for begin in range(0, len(samples), size):
        yield samples[begin : begin + size], rate


@pytest.mark.parametrize(
    ("length", "hop", "expected"),
    [
        (3, 4, [(0, 3)]),
        (4, 4, [(0, 4)]),
        (8, 4, [(0, 4), (4, 8)]),
        (8.05, 4, [(0, 4), (4, 8)]),  # the rest is too short for a window
        (8.5, 4, [(0, 4), (4, 8), (8, 8.5)]),
        (10, 4, [(0, 4), (4, 8), (8, 10)]),
        (10, 3, [(0, 4), (3, 7), (6, 10)]),
        (10, 2.5, [(0, 4), (2.5, 6.5), (5, 9), (7.5, 10)]),
    ],
)
def test_the_last_window_is_the_first_that_reaches_the_end(length, hop, expected):
    samples = np.zeros((round(length * 8000), 1), np.float32)
    found = list(windows(blocks(samples, 8000, 5000), [LOW], 4, hop))
    assert [(start, end) for start, end, _ in found] == expected
    assert all(waveforms[LOW].shape == (1, 32_000) for _, _, waveforms in found)


@pytest.mark.parametrize("size", [333, 4096, 10**6])
@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_windows_are_segments_of_the_resampled_recording(rate, size):
    samples = np.random.default_rng(0).standard_normal((3 * rate + 77, 2)).astype(np.float32)
    found = list(windows(blocks(samples, rate, size), [LOW, HIGH], 0.8, 0.3))
    assert len(found) == 9
    for spec in (LOW, HIGH):
        converted = convert(samples, rate, *spec)
        length = round(0.8 * spec.sample_rate)
        for k, (_, _, waveforms) in enumerate(found):
            begin = round(0.3 * k * spec.sample_rate)
            expected = converted[:, begin : begin + length]
            np.testing.assert_array_equal(
                waveforms[spec], np.pad(expected, ((0, 0), (0, length - expected.shape[1])))
            )


def test_a_window_waits_for_its_last_sample():
    """At some positions, its start and its length round to one sample more than its end."""
    samples = np.ones((80_000, 1), np.float32)
    mono = AudioSpec(16_000, 1)
    found = list(windows(blocks(samples, 16_000, 100), [mono], 0.0123457, 0.0123457))
    assert all(waveforms[mono].all() for _, _, waveforms in found[:-1])
    assert len(found) == 405


def test_a_window_is_yielded_as_soon_as_its_last_sample_arrives():
    given = []

    def stream():
        for n in range(10):
            given.append(n)
            yield np.zeros((1000, 1), np.float32), 8000

    found = windows(stream(), [LOW], 0.5, 0.25)  # windows of 4000 samples every 2000
    next(found)
    assert len(given) == 4
    next(found)
    assert len(given) == 6


def test_memory_does_not_grow_with_the_recording():
    def peak(seconds):
        block = np.zeros((44_100, 1), np.float32)
        tracemalloc.start()
        count = sum(1 for _ in windows(((block, 44_100) for _ in range(seconds)), [LOW], 4, 4))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == seconds // 4
        return most

    assert peak(1200) < 1.2 * peak(40)
