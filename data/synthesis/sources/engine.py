"""Engines: harmonics of the working cycle and the noise of combustion, through an exhaust."""

from __future__ import annotations

import numpy as np

from data.synthesis.signals import (
    Array,
    Rng,
    coloured_noise,
    curve,
    cycles,
    harmonics,
    log_uniform,
    resonance,
    sculpt,
    wander,
)


def small_engine(rng: Rng, n: int, rate: int) -> Array:
    """Mopeds, motorcycles, mowers: one or two cylinders, high revolutions, a bright exhaust."""
    pitch = log_uniform(rng, 45, 110) * revolutions(rng, n, rate, agility=2.2)
    return engine(rng, pitch, rate, cylinders=int(rng.integers(1, 3)), tilt_db=-3.0, clatter=0.7)


def medium_engine(rng: Rng, n: int, rate: int) -> Array:
    """Cars and vans: four to six cylinders, idling, pulling away or passing on noisy tyres."""
    pitch = log_uniform(rng, 26, 75) * revolutions(rng, n, rate, agility=1.8)
    motor = engine(rng, pitch, rate, cylinders=int(rng.choice((4, 6))), tilt_db=-4.0, clatter=0.7)
    if rng.uniform() < 0.6:
        return passing(rng, motor + tyres(rng, n, rate), rate)
    return motor


def large_engine(rng: Rng, n: int, rate: int) -> Array:
    """Trucks and buses: slow clattering diesels, some with a turbo's whine or an air brake."""
    pitch = log_uniform(rng, 22, 48) * revolutions(rng, n, rate, agility=1.5)
    motor = engine(rng, pitch, rate, cylinders=6, tilt_db=-3.5, clatter=1.1)
    if rng.uniform() < 0.4:
        motor += 0.12 * harmonics(pitch * rng.uniform(28, 45), rate, (1.0, 0.3))
    if rng.uniform() < 0.3:
        at, held = rng.uniform(0.1, 0.8) * n / rate, rng.uniform(0.1, 0.5)
        sigh = curve(n, rate, (at, at + 0.04, at + held, 2 * held + at), (0.0, 1.0, 0.3, 0.0))
        motor += sigh * coloured_noise(rng, n, rate, -1.0)
    return passing(rng, motor, rate) if rng.uniform() < 0.4 else motor


def revolutions(rng: Rng, n: int, rate: int, agility: float) -> Array:
    """How fast the engine turns, 1 at idle: steady, revved in bursts, or through the gears."""
    seconds = n / rate
    steady = 1 + 0.015 * wander(rng, n, rate, 3)
    manner = rng.uniform()
    if manner < 0.45:
        return steady * rng.uniform(1.0, agility)
    if manner < 0.75:
        times, speeds, at = [0.0], [1.0], rng.uniform(0, 0.4) * seconds
        while at < seconds:
            peak = rng.uniform(1.3, agility + 0.3)
            times += [at, at + rng.uniform(0.15, 0.5), at + rng.uniform(0.7, 1.4)]
            speeds += [1.0, peak, 1.0]
            at = times[-1] + rng.uniform(0.05, 1.0)
        return steady * curve(n, rate, times, speeds)
    change = rng.uniform(0.3, 0.7) * seconds
    low, high = 1.0, rng.uniform(1.3, agility)
    points = ([0, change, change + 0.25, seconds], [low, high, 0.7 * high, 0.95 * high])
    if rng.uniform() < 0.4:
        points = ([0, seconds], [high, low])
    return steady * curve(n, rate, *points)


def engine(
    rng: Rng, pitch: Array, rate: int, cylinders: int, tilt_db: float, clatter: float
) -> Array:
    """An engine that fires at `pitch` Hz, with noise of level `clatter`, `tilt_db` an octave."""
    n, cycle = len(pitch), pitch / cylinders
    orders = np.arange(1, 16 * cylinders + 1)
    firing = orders % cylinders == 0
    strengths = np.where(firing, 1.0, rng.uniform(0.02, 0.3) * rng.uniform(0.2, 1, len(orders)))
    strengths *= rng.uniform(0.4, 1.0, len(orders)) * np.exp(-orders / (5 * cylinders))
    uneven = 1 + 0.015 * wander(rng, n, rate, 25)
    tone = harmonics(cycle * uneven, rate, strengths, rng.uniform())
    explosion = np.cos(np.pi * cycles(pitch * uneven, rate)) ** 8
    noise = coloured_noise(rng, n, rate, tilt_db) * (0.25 + explosion)
    load = (pitch / pitch.mean()) ** rng.uniform(0.8, 2.0)
    pipes = rng.uniform((80, 200, 600), (180, 500, 1800))

    def exhaust(hz: Array, seconds: Array) -> Array:
        gains = (
            gain * resonance(hz, pipe, 0.7 * pipe)
            for gain, pipe in zip((1.0, 0.8, 0.5), pipes, strict=True)
        )
        return 0.3 + sum(gains, np.zeros_like(hz))

    return load * sculpt(tone + clatter * noise, rate, exhaust)


def tyres(rng: Rng, n: int, rate: int) -> Array:
    """Rolling noise: broad, strongest about 1 kHz."""
    centre = log_uniform(rng, 600, 1400)
    noise = coloured_noise(rng, n, rate)
    level = rng.uniform(0.3, 1.2)
    return level * sculpt(noise, rate, lambda hz, _: resonance(hz, centre, 1.4 * centre) ** 1.5)


def passing(rng: Rng, signal: Array, rate: int) -> Array:
    """Drive by: louder and brighter at the nearest point."""
    seconds = len(signal) / rate
    nearest, width = rng.uniform(0.15, 0.85) * seconds, rng.uniform(0.4, 1.6)

    def closeness(hz: Array, at: Array) -> Array:
        approach = 1 / (1 + ((at - nearest) / width) ** 2)
        return approach * (0.15 + 0.85 / (1 + (hz / (800 + 6000 * approach)) ** 2))

    return sculpt(signal, rate, closeness)
