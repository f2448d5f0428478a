"""Alert signals: horns, car alarms, sirens, reverse beepers: tones through cheap loudspeakers."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from data.synthesis.signals import (
    Array,
    Rng,
    band_pass,
    coloured_noise,
    gate,
    harmonics,
    log_uniform,
    resonance,
    sculpt,
    wander,
)


def car_horn(rng: Rng, n: int, rate: int) -> Array:
    """Two discs a third apart, pressed once or a few times; trucks blow an octave lower."""
    root = log_uniform(rng, 330, 480) * (0.55 if rng.uniform() < 0.25 else 1.0)
    return presses(rng, n, rate) * horn(rng, n, rate, root)


def horn(rng: Rng, n: int, rate: int, root: float) -> Array:
    mouth = rng.uniform(1500, 3200)
    pair = (1.0, rng.uniform(1.18, 1.28)) if rng.uniform() < 0.8 else (1.0,)
    strengths = np.arange(1, 16) ** -0.3 * rng.uniform(0.4, 1.0, 15)
    discs = [harmonics(np.full(n, root * ratio), rate, strengths, rng.uniform()) for ratio in pair]
    tone = sum(discs, np.zeros(n))
    return sculpt(tone, rate, lambda hz, _: 0.15 + resonance(hz, mouth, 1.3 * mouth))


def presses(rng: Rng, n: int, rate: int) -> Array:
    """Honks: one long, or up to four short."""
    seconds = n / rate
    if rng.uniform() < 0.4:
        on = rng.uniform(0.0, 0.5) * seconds
        return gate(n, rate, on, on + rng.uniform(0.6, 2.2), 0.015)
    level, at = np.zeros(n), rng.uniform(0.0, 0.4) * seconds
    for _ in range(rng.integers(1, 5)):
        held = rng.uniform(0.08, 0.45)
        level = np.maximum(level, gate(n, rate, at, at + held, 0.012))
        at += held + rng.uniform(0.08, 0.4)
    return level


def car_alarm(rng: Rng, n: int, rate: int) -> Array:
    """A siren that changes its figure every second or two, or the car's own horn twice a second."""
    time = np.arange(n) / rate
    if rng.uniform() < 0.35:
        period, share = rng.uniform(0.35, 0.9), rng.uniform(0.35, 0.6)
        beat = (time / period + rng.uniform()) % 1 < share
        return smoothed(beat, rate) * horn(rng, n, rate, log_uniform(rng, 350, 480))
    low, high = log_uniform(rng, 600, 900), log_uniform(rng, 1400, 2400)
    length, start = rng.uniform(0.7, 1.8), int(rng.integers(5))
    figure = ((time / length).astype(int) + start) % 5
    speed = rng.uniform((5, 4, 2.5, 7, 1.2), (9, 8, 4, 12, 2.5))[figure]
    turn = (time * speed) % 1
    shape = np.select(
        [figure == 0, figure == 1, figure == 2, figure == 3],
        [turn, 1 - turn, (turn < 0.5).astype(float), 1 - np.abs(2 * turn - 1)],
        np.sqrt(turn),
    )
    return loudspeaker(rng, harmonics(low * (high / low) ** shape, rate, SQUARE), rate)


def siren(rng: Rng, n: int, rate: int) -> Array:
    """Wail, yelp or two tones, from a vehicle that comes or goes."""
    time, low = np.arange(n) / rate, log_uniform(rng, 380, 680)
    high, kind = low * rng.uniform(2.0, 3.0), rng.uniform()
    if kind < 0.45:
        turn = (time / rng.uniform(2.2, 5.0) + rng.uniform()) % 1
        rise = rng.uniform(0.3, 0.6)
        shape = np.where(
            turn < rise, np.sin(0.5 * np.pi * turn / rise), 1 - (turn - rise) / (1 - rise)
        )
    elif kind < 0.75:
        turn = (time * rng.uniform(2.5, 4.5) + rng.uniform()) % 1
        shape = 1 - np.abs(2 * turn - 1)
    else:
        high = low * rng.uniform(1.25, 1.5)
        shape = smoothed((time * rng.uniform(0.7, 1.4) + rng.uniform()) % 1 < 0.5, rate)
    nearest = rng.uniform(-0.3, 1.3) * n / rate
    doppler = 1 - 0.035 * np.tanh((time - nearest) / rng.uniform(0.5, 1.5))
    tone = harmonics(doppler * low * (high / low) ** shape, rate, SQUARE, rng.uniform())
    near = 0.4 + 0.6 / (1 + ((time - nearest) / (0.4 * n / rate + 1)) ** 2)
    return near * loudspeaker(rng, tone, rate)


def reverse_beeper(rng: Rng, n: int, rate: int) -> Array:
    """A tone of 1 to 1.5 kHz about once a second; some trucks beep with noise instead."""
    period, share = rng.uniform(0.7, 1.2), rng.uniform(0.4, 0.6)
    time = np.arange(n) / rate
    on = smoothed((time / period + rng.uniform(0, 0.5)) % 1 < share, rate)
    if rng.uniform() < 0.15:
        return on * band_pass(coloured_noise(rng, n, rate), rate, 700, 4500)
    pitch = np.full(n, log_uniform(rng, 950, 1500))
    strengths = (1.0, rng.uniform(0.02, 0.3), rng.uniform(0.05, 0.4), 0.05, 0.1)
    return on * harmonics(pitch, rate, strengths)


SQUARE = (1.0, 0.15, 0.4, 0.1, 0.25, 0.06, 0.15, 0.04, 0.1)


def loudspeaker(rng: Rng, tone: Array, rate: int) -> Array:
    """A horn loudspeaker: a peak about 1 to 2 kHz, nothing low, a tremor of the supply."""
    peak = rng.uniform(900, 2200)
    tremor = 1 + 0.05 * wander(rng, len(tone), rate, 10)
    return tremor * sculpt(
        tone,
        rate,
        lambda hz, _: (0.15 + resonance(hz, peak, 1.2 * peak)) * hz**2 / (hz**2 + 350.0**2),
    )


def smoothed(switch: Array, rate: int) -> Array:
    """A switch without clicks: ramps of 10 ms."""
    width = max(int(0.01 * rate), 1)
    return uniform_filter1d(switch.astype(float), width)
