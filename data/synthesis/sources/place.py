"""What places sound of: air, water, leaves, birds, people, feet, suitcases, loose panels."""

from __future__ import annotations

import numpy as np

from data.synthesis.signals import (
    Array,
    Rng,
    band_pass,
    coloured_noise,
    harmonics,
    log_uniform,
    place,
    reverberate,
    rms,
    struck,
    wander,
)
from data.synthesis.sources.voice import speaker, utter


def ventilation(rng: Rng, n: int, rate: int) -> Array:
    """Air from ducts over the hum of a fan."""
    air = band_pass(coloured_noise(rng, n, rate, -3.0), rate, 80, log_uniform(rng, 800, 3000), 1)
    hum = harmonics(np.full(n, log_uniform(rng, 60, 180)), rate, (1.0, 0.5, 0.4, 0.2, 0.2))
    return air / rms(air) + rng.uniform(0.05, 0.4) * hum


def fountain(rng: Rng, n: int, rate: int) -> Array:
    """Falling water: steady, broad, without bass."""
    water = band_pass(coloured_noise(rng, n, rate), rate, log_uniform(rng, 300, 800), 7000)
    return water * (1 + 0.1 * wander(rng, n, rate, 8))


def leaves(rng: Rng, n: int, rate: int) -> Array:
    """Wind in trees: hiss that swells and sinks."""
    hiss = band_pass(coloured_noise(rng, n, rate), rate, 1200, 6500)
    return hiss * 10 ** (0.3 * wander(rng, n, rate, 0.7))


def birds(rng: Rng, n: int, rate: int) -> Array:
    """Two or three birds that answer one another."""
    out = np.zeros(n)
    for _ in range(rng.integers(2, 4)):
        pitch, gain = log_uniform(rng, 2200, 5500), rng.uniform(0.3, 1.0)
        for at in rng.uniform(0, n, rng.integers(3, 12)):
            length = int(rng.uniform(0.04, 0.18) * rate)
            first, last = rng.uniform(0.8, 1.25, 2)
            sweep = np.linspace(first, last, length)
            chirp = np.hanning(length) * harmonics(pitch * sweep, rate, (1.0, 0.1))
            place(out, chirp, int(at), gain)
    return out


def footsteps(rng: Rng, n: int, rate: int) -> Array:
    """One to four people who walk, on soles of their own."""
    out = np.zeros(n)
    for _ in range(rng.integers(1, 5)):
        sole = rng.uniform((90, 250, 700, 1500), (200, 600, 1400, 3500))
        step = struck(rng, int(0.15 * rate), rate, sole, log_uniform(rng, 0.006, 0.02), 0.6)
        pace, loud = rng.uniform(1.6, 2.3), rng.uniform(0.3, 1.0)
        for at in np.arange(rng.uniform(0, 0.5), n / rate, 1 / pace):
            place(out, step, int((at + 0.02 * rng.standard_normal()) * rate), loud)
    return out


def suitcase(rng: Rng, n: int, rate: int) -> Array:
    """Small hard wheels on tiles: a rattle at the pace of the joints."""
    rattle = band_pass(coloured_noise(rng, n, rate), rate, 300, log_uniform(rng, 1800, 4500))
    pace = rng.uniform(6, 14)
    phase = pace * np.arange(n) / rate + rng.uniform()
    return rattle * (0.35 + np.exp(-8 * (phase % 1))) * (1 + 0.3 * wander(rng, n, rate, 2))


def murmur(rng: Rng, n: int, rate: int) -> Array:
    """Many people at once: two talkers, each from several positions with different echoes."""
    voices = [utter(rng, n, rate, speaker(rng, rng.uniform(0, 0.4)), 0.1) for _ in range(2)]
    people = [
        rng.exponential() * np.roll(voice, int(shift * n))
        for voice in voices
        for shift in rng.uniform(0, 1, rng.integers(3, 7))
    ]
    return reverberate(rng, sum(people, np.zeros(n)), rate, 0.8, 0.6)


def announcement(rng: Rng, n: int, rate: int) -> Array:
    """A gong of two or three tones, then a voice through loudspeakers in a hall; or one of them."""
    out, at = np.zeros(n), rng.uniform(-0.3, 0.3) * n / rate
    kind = rng.uniform()
    if kind < 0.6:
        pitch = log_uniform(rng, 400, 700)
        for ratio in rng.choice((1.0, 1.25, 1.5, 0.8), rng.integers(2, 4), replace=False):
            gong = struck(rng, rate, rate, pitch * ratio * np.array((1.0, 2.0, 3.0)), 0.5, 0.0)
            place(out, gong, int(at * rate))
            at += 0.4
    if kind > 0.3:
        voice = utter(rng, n, rate, speaker(rng, 0.1), 0.2)
        place(out, band_pass(voice, rate, 300, 4000), int(max(at, 0) * rate))
    return reverberate(rng, out, rate, rng.uniform(1.0, 2.2), 0.7)


def rattle(rng: Rng, n: int, rate: int) -> Array:
    """Loose panels and handles of a vehicle on a bad road."""
    out, panel = np.zeros(n), rng.uniform((200, 600, 1500), (500, 1400, 3500))
    for at in rng.uniform(0, n, rng.integers(4, 25)):
        place(out, struck(rng, int(0.1 * rate), rate, panel, 0.012, 0.5), int(at), rng.uniform())
    return out


def air_brake(rng: Rng, n: int, rate: int) -> Array:
    """A sigh of compressed air."""
    hiss = band_pass(coloured_noise(rng, n, rate), rate, 900, 6500)
    time = np.arange(n) / rate - rng.uniform(0, 0.7) * n / rate
    return hiss * (time > 0) * np.exp(-np.maximum(time, 0) / rng.uniform(0.1, 0.5))
