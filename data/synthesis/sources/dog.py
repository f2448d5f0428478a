"""Dogs: barks in series, now and then a whine."""

from __future__ import annotations

import numpy as np

from data.synthesis.signals import (
    Array,
    Rng,
    buzz,
    coloured_noise,
    curve,
    harmonics,
    log_uniform,
    place,
    resonance,
    sculpt,
    wander,
)


def dog(rng: Rng, n: int, rate: int) -> Array:
    """One dog, of any size; one in six whines, and some answer each other."""
    out, seconds = np.zeros(n), n / rate
    if rng.uniform() < 0.17:
        at = rng.uniform(0, 0.3) * seconds
        while at < 0.95 * seconds:
            held = rng.uniform(0.3, 0.9)
            place(out, whine(rng, held, rate), int(at * rate), rng.uniform(0.5, 1.0))
            at += held + rng.uniform(0.1, 0.8)
        return out
    for _ in range(1 if rng.uniform() < 0.75 else 2):
        size, at = rng.uniform(), rng.uniform(0, 0.4) * seconds
        gap, gain = rng.uniform(0.28, 0.9), rng.uniform(0.5, 1.0)
        barks = rng.integers(1, 8)
        for _ in range(barks):
            place(out, bark(rng, size, rate), int(at * rate), gain * rng.uniform(0.7, 1.0))
            at += gap * rng.uniform(0.75, 1.3)
    return out


def bark(rng: Rng, size: float, rate: int) -> Array:
    """A pitch that jumps up and falls, through a mouth that opens and shuts; `size` 0 to 1."""
    length = rng.uniform(0.09, 0.16) + 0.10 * size
    n = int(length * rate)
    pitch = 1050 * 0.28**size * rng.uniform(0.9, 1.1)
    bend = curve(n, rate, np.array((0.0, 0.25, 1.0)) * length, (0.7, 1.1, rng.uniform(0.5, 0.7)))
    level = curve(n, rate, np.array((0.0, 0.08, 0.5, 1.0)) * length, (0.0, 1.0, 0.7, 0.0))
    voice = buzz(pitch * bend * (1 + 0.03 * wander(rng, n, rate, 60)), rate)
    voice += rng.uniform(0.05, 0.35) * coloured_noise(rng, n, rate, -2.0)
    tract = 1.5 - 0.7 * size
    opening = np.array((0.0, 0.3 * length, length))

    def mouth(hz: Array, seconds: Array) -> Array:
        throat = np.interp(seconds, opening, (450, 900, 550)) * tract
        return 0.02 + (
            resonance(hz, throat, 350 * tract)
            + 0.5 * resonance(hz, 1.9 * throat, 500 * tract)
            + 0.2 * resonance(hz, 3000 * tract, 1200)
        )

    return level * sculpt(voice, rate, mouth)


def whine(rng: Rng, seconds: float, rate: int) -> Array:
    """A thin glide up and down, almost a whistle."""
    n, pitch = int(seconds * rate), log_uniform(rng, 500, 1300)
    times = np.array((0.0, rng.uniform(0.2, 0.6), 1.0)) * seconds
    glide = curve(
        n, rate, times, (rng.uniform(0.7, 0.95), rng.uniform(1.1, 1.5), rng.uniform(0.7, 1.0))
    )
    level = curve(n, rate, np.array((0.0, 0.2, 0.7, 1.0)) * seconds, (0.0, 1.0, 0.8, 0.0))
    glide *= 1 + 0.012 * wander(rng, n, rate, 12)
    breath = 0.05 * coloured_noise(rng, n, rate)
    return level * (harmonics(pitch * glide, rate, (1.0, 0.35, 0.25, 0.1, 0.05)) + breath)
