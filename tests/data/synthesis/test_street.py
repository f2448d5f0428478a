from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng as rng

from data.synthesis.sources import SOURCES
from data.synthesis.street import (
    KINDS,
    NUMBER_OF_CLASSES,
    Event,
    loudness,
    render,
    sample_events,
    sample_sensor,
)
from data.synthesis.taxonomy import COARSE

RATE, N = 16_000, 16_000


def test_tables_cover_the_taxonomy():
    assert set(KINDS) == set(COARSE)
    assert {kind for kinds in KINDS.values() for kind in kinds} == set(SOURCES)
    assert all(sum(kinds.values()) == pytest.approx(1) for kinds in KINDS.values())
    assert sum(NUMBER_OF_CLASSES) == pytest.approx(1)


def test_clips_hold_about_as_many_classes_as_sonyc_ust():
    counts = dict.fromkeys(COARSE, 0)
    for seed in range(3000):
        events = sample_events(rng(seed), sample_sensor(rng(10_000 + seed % 200)))
        for coarse in {event.kind[0] for event in events}:
            counts[coarse] += 1
    share = {coarse: count / 3000 for coarse, count in counts.items()}
    assert 1.6 < sum(share.values()) < 1.8
    assert max(share, key=share.get) == "1"
    assert min(share.values()) > 0.07
    assert 0.45 < share["1"] < 0.6


def test_far_sources_are_fainter():
    events = [e for seed in range(400) for e in sample_events(rng(seed), sample_sensor(rng(seed)))]
    near = [e.above_background_db for e in events if e.metres < 10]
    far = [e.above_background_db for e in events if e.metres > 40]
    assert np.mean(near) - np.mean(far) > 8


@pytest.mark.parametrize(("hz", "expected_db"), [(1000, 0.0), (100, -19.1), (4000, 1.0)])
def test_loudness_is_a_weighted(hz: float, expected_db: float):
    power = loudness(np.sin(2 * np.pi * hz * np.arange(N) / RATE), RATE)[N // 2]
    assert 10 * np.log10(power / 0.5) == pytest.approx(expected_db, abs=0.15)


def test_a_source_has_its_level_above_the_background():
    sensor = replace(sample_sensor(rng(0)), equaliser_db=np.zeros(10), self_noise_db=-120.0)
    quiet = render(rng(5), sensor, [], N, RATE)
    loud = render(rng(5), sensor, [Event("5-4", 10.0, 20.0)], N, RATE)
    above = 10 * np.log10(loudness(loud, RATE).max() / loudness(quiet, RATE).mean())
    assert above == pytest.approx(20, abs=1)


def test_a_recording_never_clips_even_when_crowded():
    sensor = replace(sample_sensor(rng(0)), background_db=-20.0)
    events = [Event(kind, 4.0, 26.0) for kind in ("4-1", "5-3", "2-2")]
    assert np.abs(render(rng(1), sensor, events, N, RATE)).max() <= 0.95 + 1e-12


def test_sensors_differ():
    first, second = (render(rng(0), sample_sensor(rng(k)), [], N, RATE) for k in (1, 2))
    spectra = [
        np.abs(np.fft.rfft(x)).reshape(-1)[:8000].reshape(8, -1).mean(1) for x in (first, second)
    ]
    assert np.ptp(20 * np.log10(spectra[0] / spectra[1])) > 3
