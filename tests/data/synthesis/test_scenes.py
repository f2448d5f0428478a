from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng as rng
from scipy.fft import rfft, rfftfreq

from data.datasets import tau_scenes
from data.synthesis.scenes import (
    MAX_LEVEL_DIFFERENCE_DB,
    SCENES,
    Scene,
    binaural,
    recorded,
    render,
    sample_device,
    sample_place,
)
from data.synthesis.signals import rms

RATE, N = 16_000, 16_000
PAIRS = [
    ("metro", "tram"),
    ("airport", "shopping_mall"),
    ("street_pedestrian", "public_square"),
]


def sources(scene: Scene) -> set[str]:
    return {part.source.__name__ for part in scene.parts}


def test_the_scenes_are_those_of_tau():
    assert tuple(sorted(SCENES)) == tau_scenes.SCENES


@pytest.mark.parametrize("pair", PAIRS)
def test_a_confusable_pair_shares_more_sources_than_it_differs_in(pair):
    one, other = (sources(SCENES[name]) for name in pair)
    assert len(one & other) > len(one ^ other)
    assert SCENES[pair[0]] != SCENES[pair[1]]


PARTS = {part.source.__name__: part.source for s in SCENES.values() for part in s.parts}


@pytest.mark.parametrize("name", PARTS)
def test_a_source_is_finite_audible_and_deterministic(name):
    for seed in range(3):
        sound = PARTS[name](rng(seed), N, RATE)
        assert sound.shape == (N,)
        assert np.isfinite(sound).all()
        assert rms(sound) > 1e-4
        assert np.array_equal(sound, PARTS[name](rng(seed), N, RATE))


def recording(name: str, seed: int = 0, device: str = "a") -> np.ndarray:
    scene = SCENES[name]
    return render(
        rng(seed), scene, sample_place(rng(1), scene), sample_device(rng(2), device), N, RATE
    )


@pytest.mark.parametrize("name", SCENES)
def test_a_recording_is_stereo_and_never_clips(name):
    heard = recording(name)
    assert heard.shape == (2, N)
    assert np.abs(heard).max() <= 0.95 + 1e-12
    assert not np.array_equal(heard[0], heard[1])


def test_a_sound_from_the_side_comes_sooner_and_louder_to_one_ear():
    click = np.zeros(N)
    click[100] = 1.0
    arrivals = []
    for seed in range(200):
        ears = binaural(rng(seed), click, RATE, 0.3)
        onset = [int(np.flatnonzero(np.abs(ear) > 0.3)[0]) for ear in ears]
        level = [20 * np.log10(abs(ear[at])) for ear, at in zip(ears, onset, strict=True)]
        arrivals.append((onset[1] - onset[0], level[0] - level[1]))
    later, louder = np.array(arrivals).T
    assert later.min() == -10  # 0.6 ms
    assert later.max() == 10
    assert np.abs(louder).max() == pytest.approx(MAX_LEVEL_DIFFERENCE_DB, abs=0.2)
    assert (later[np.abs(louder) > 0.4] * louder[np.abs(louder) > 0.4] > 0).all()


def test_a_device_has_a_response_and_noise_and_the_reference_has_none():
    silence, impulse = np.zeros((2, N)), np.zeros((2, N))
    impulse[:, 0] = 0.5
    flat, other = sample_device(rng(3), "a"), sample_device(rng(3), "s1")
    noise = [rms(recorded(rng(0), device, silence, RATE)) for device in (flat, other)]
    assert 20 * np.log10(noise[0]) == pytest.approx(-78, abs=0.01)
    assert 20 * np.log10(noise[1]) == pytest.approx(other.noise_db, abs=0.01)
    hz = rfftfreq(N, 1 / RATE)
    band = (hz > 200) & (hz < 7000)
    gains = []
    for device in (flat, other):
        heard = recorded(rng(0), replace(device, noise_db=-200.0), impulse, RATE)
        gains.append(20 * np.log10(np.abs(rfft(heard[0])[band])))
    assert np.ptp(gains[0]) < 0.6  # of the high-pass at 50 Hz
    assert np.ptp(gains[1]) > 2


def test_a_place_sounds_like_itself_in_every_clip():
    scene = SCENES["park"]
    one, again, other = (sample_place(rng(seed), scene) for seed in (1, 1, 2))
    assert one.reverberation == again.reverberation != other.reverberation
    low, high = scene.reverberation
    assert low <= one.reverberation <= high
    assert len(one.louder_db) == len(one.likelier) == len(scene.parts)
