"""Rail vehicles: wheels on joints, motors that whine with the speed, squealing curves, bells."""

from __future__ import annotations

import numpy as np

from data.synthesis.signals import (
    Array,
    Rng,
    band_pass,
    coloured_noise,
    curve,
    gate,
    harmonics,
    log_uniform,
    place,
    rms,
    struck,
    wander,
)
from data.synthesis.sources.engine import passing


def riding(rng: Rng, n: int, rate: int, joints: tuple[float, float], rumble_hz: float) -> Array:
    """Inside a carriage: rumble below `rumble_hz`, `joints` a second at full speed, motors."""
    seconds = n / rate
    speed = curve(n, rate, (0, rng.uniform(0.3, 0.9) * seconds, seconds), rng.uniform(0.4, 1.0, 3))
    rumble = band_pass(coloured_noise(rng, n, rate, -4.0), rate, 30, rumble_hz)
    roll = (0.4 + speed) * (1 + 0.15 * wander(rng, n, rate, 3)) * rumble / rms(rumble)
    hiss = band_pass(coloured_noise(rng, n, rate, -3.0), rate, 500, 5000)
    whine = harmonics(log_uniform(rng, 250, 700) * (0.3 + speed), rate, (1.0, 0.5, 0.3, 0.15))
    sound = roll + 0.25 * speed * hiss / rms(hiss) + rng.uniform(0.02, 0.25) * speed * whine
    at, pace = rng.uniform(0, 0.5), rng.uniform(*joints)
    body = rng.uniform((60, 140, 320, 700), (120, 260, 600, 1400))
    while at < seconds:
        for axle in (0.0, 0.14):  # each joint sounds twice, once per axle of a bogie
            blow = struck(rng, int(0.25 * rate), rate, body, 0.03, 0.5)
            place(sound, blow, int((at + axle) * rate), rng.uniform(0.3, 1.2))
        at += rng.uniform(0.9, 1.1) / (pace * max(speed[min(int(at * rate), n - 1)], 0.3))
    return sound


def metro_ride(rng: Rng, n: int, rate: int) -> Array:
    """Fast and low, on welded rails with few joints."""
    return riding(rng, n, rate, joints=(0.5, 1.6), rumble_hz=rng.uniform(220, 500))


def tram_ride(rng: Rng, n: int, rate: int) -> Array:
    """Slower, with switches and crossings, and more treble."""
    return riding(rng, n, rate, joints=(0.9, 2.2), rumble_hz=rng.uniform(300, 650))


def train_passing(rng: Rng, n: int, rate: int) -> Array:
    """A train that comes into a station or leaves it."""
    return passing(rng, metro_ride(rng, n, rate) + 0.3 * squeal(rng, n, rate), rate)


def squeal(rng: Rng, n: int, rate: int) -> Array:
    """Wheels in a curve, or brakes: a few high tones that swell."""
    on = rng.uniform(0, 0.6) * n / rate
    level = gate(n, rate, on, on + rng.uniform(0.5, 2.0), rise=0.3)
    pitch = log_uniform(rng, 1200, 3800) * (1 + 0.01 * wander(rng, n, rate, 5))
    tones = sum(
        rng.uniform(0.2, 1.0) * harmonics(pitch * ratio, rate, (1.0, 0.2))
        for ratio in (1.0, *rng.uniform(1.1, 1.9, 2))
    )
    return level * tones * (1 + 0.4 * wander(rng, n, rate, 12))


def bell(rng: Rng, n: int, rate: int) -> Array:
    """A tram's bell: one to four strokes."""
    modes = log_uniform(rng, 700, 1500) * np.array((1.0, 2.0, 2.4, 3.1, 4.2))
    sound, at = np.zeros(n), rng.uniform(0, 0.5) * n / rate
    for _ in range(rng.integers(1, 5)):
        place(sound, struck(rng, rate, rate, modes, 0.3, 0.1), int(at * rate))
        at += rng.uniform(0.15, 0.35)
    return sound


def doors(rng: Rng, n: int, rate: int) -> Array:
    """Beeps of closing doors, then the air that moves them."""
    on, beeps = rng.uniform(0, 0.4) * n / rate, int(rng.integers(2, 7))
    pitch, sound = np.full(n, log_uniform(rng, 800, 2000)), np.zeros(n)
    for beep in range(beeps):
        start = on + 0.25 * beep
        sound += gate(n, rate, start, start + 0.12) * harmonics(pitch, rate, (1.0, 0.2, 0.1))
    end = on + 0.25 * beeps
    air = band_pass(coloured_noise(rng, n, rate), rate, 800, 6000)
    return sound + 0.5 * gate(n, rate, end, end + rng.uniform(0.3, 0.9), 0.05) * air
