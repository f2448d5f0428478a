"""Machines that strike: rock drills, jackhammers, hoe rams, pile drivers, compactors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import fftconvolve

from data.synthesis.signals import (
    Array,
    Numbers,
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


def rock_drill(rng: Rng, n: int, rate: int) -> Array:
    """Blows too fast to count, a rotating bit and compressed air."""
    speed = log_uniform(rng, 30, 55)
    steel = rng.uniform((700, 1500, 2400, 3600), (1500, 2500, 3800, 5500))
    blows = hammering(rng, n, rate, speed, 0.03, [(steel, 0.006, 0.8)])
    pitch = speed * rng.uniform(6, 11) * (1 + 0.02 * wander(rng, n, rate, 2))
    rotor = harmonics(pitch, rate, 1 / np.arange(1, 9))
    noise = level(blows) + 0.3 * rotor + rng.uniform(0.2, 0.6) * compressed_air(rng, n, rate)
    return working(rng, n, rate) * band_pass(noise, rate, 0, rng.uniform(2000, 5000), order=1)


def jackhammer(rng: Rng, n: int, rate: int) -> Array:
    """Pneumatic breaker: eleven to twenty-four blows a second with a puff of air each."""
    steel = rng.uniform((450, 1000, 1800, 2700, 3900), (900, 1800, 2800, 4000, 6000))
    bodies: list[Body] = [(steel, 0.010, 0.7), ((70, 130, 210), 0.02, 0.1)]
    blows = hammering(rng, n, rate, log_uniform(rng, 11, 24), 0.02, bodies)
    noise = level(blows) + rng.uniform(0.05, 0.3) * compressed_air(rng, n, rate)
    return working(rng, n, rate) * band_pass(noise, rate, 0, rng.uniform(2500, 6000), order=1)


def hoe_ram(rng: Rng, n: int, rate: int) -> Array:
    """An excavator's hydraulic hammer: four to eleven heavy ringing blows a second."""
    steel = rng.uniform((250, 600, 1100, 1900, 3000), (500, 1000, 1800, 2900, 4500))
    bodies: list[Body] = [(steel, 0.05, 0.6), ((55, 95, 160), 0.05, 0.0)]
    blows = hammering(rng, n, rate, log_uniform(rng, 4, 11), 0.04, bodies)
    return working(rng, n, rate) * band_pass(blows, rate, 0, rng.uniform(2500, 6000), order=1)


def pile_driver(rng: Rng, n: int, rate: int) -> Array:
    """A falling weight on a steel pile: a clang about every second with a long ring and a thump."""
    steel = rng.uniform((180, 420, 800, 1300, 2200, 3400), (380, 750, 1250, 2100, 3300, 5000))
    bodies: list[Body] = [(steel, 0.22, 0.8), ((50, 85, 130), 0.10, 0.0)]
    blows = hammering(rng, n, rate, log_uniform(rng, 0.8, 2.2), 0.03, bodies)
    return band_pass(blows, rate, 0, rng.uniform(2500, 6000), order=1)


def compactor(rng: Rng, n: int, rate: int) -> Array:
    """Plate compactors and rammers: dull blows on the ground under a small motor."""
    speed = log_uniform(rng, 9, 18)
    blows = hammering(rng, n, rate, speed, 0.05, [((65, 120, 240, 420), 0.025, 0.35)])
    motor = harmonics(np.full(n, speed * 5.0), rate, np.arange(1, 25) ** -0.6)
    rattle = band_pass(coloured_noise(rng, n, rate, -3.0), rate, 300, 3000)
    noise = level(blows) + 0.15 * motor + 0.3 * rattle
    return working(rng, n, rate) * band_pass(noise, rate, 0, rng.uniform(1500, 3500), order=1)


Body = tuple[Numbers, float, float]  # modes in Hz, their decay in seconds, the knock on it


def hammering(
    rng: Rng, n: int, rate: int, speed: float, jitter: float, bodies: Sequence[Body]
) -> Array:
    """`speed` blows a second, uneven by `jitter` of a period, on three spots of the bodies."""
    length = int((0.03 + 5 * max(decay for _, decay, _ in bodies)) * rate)
    first = rng.uniform(0, min(1.0, 0.4 * n / rate * speed))
    out = np.zeros(n)
    beats = np.arange(first, n / rate * speed)
    beats = np.maximum(beats + jitter * rng.standard_normal(len(beats)), 0)
    spot_of = rng.integers(3, size=len(beats))
    for spot in range(3):
        blow = sum(struck(rng, length, rate, *body) for body in bodies)
        train = np.zeros(n)
        for beat in beats[spot_of == spot]:
            place(train, np.ones(1), int(beat / speed * rate), rng.uniform(0.6, 1.0))
        out += fftconvolve(train, blow)[:n]
    return out


def compressed_air(rng: Rng, n: int, rate: int) -> Array:
    return band_pass(coloured_noise(rng, n, rate), rate, 800, 6000)


def working(rng: Rng, n: int, rate: int) -> Array:
    """The tool is set down now and then; half of the time it is not. Its force varies."""
    seconds = n / rate
    force = np.clip(1 + 0.15 * wander(rng, n, rate, 2), 0.3, None)
    if rng.uniform() < 0.5:
        return force
    if rng.uniform() < 0.5:
        start = rng.uniform(0, 0.5) * seconds
        return force * gate(n, rate, start, start + rng.uniform(0.3, 1.0) * seconds, 0.05)
    times, values, at = [0.0], [1.0], rng.uniform(0.2, 0.5) * seconds
    while at < seconds:
        pause = at + rng.uniform(0.2, 1.0)
        times += [at, at + 0.04, pause, pause + 0.04]
        values += [1.0, 0.0, 0.0, 1.0]
        at = pause + rng.uniform(0.6, 2.0)
    return force * curve(n, rate, times, values)


def level(signal: Array) -> Array:
    """At unit RMS."""
    return signal / (rms(signal) + 1e-12)
