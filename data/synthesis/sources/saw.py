"""Powered saws: chainsaws, and blades that sing at the pace of their teeth, idle or in the cut."""

from __future__ import annotations

import numpy as np

from data.synthesis.signals import (
    Array,
    Rng,
    band_pass,
    coloured_noise,
    curve,
    cycles,
    harmonics,
    log_uniform,
    resonance,
    sculpt,
    wander,
)


def chainsaw(rng: Rng, n: int, rate: int) -> Array:
    """A two-stroke engine that sags in the wood, rich in harmonics, and the noise of its chain."""
    cut = cutting(rng, n, rate)
    throttle = curve(n, rate, *bursts(rng, n / rate)) if rng.uniform() < 0.5 else np.ones(n)
    pitch = log_uniform(rng, 95, 190) * (0.45 + 0.55 * throttle) * (1 - 0.15 * cut)
    pitch = pitch * (1 + 0.01 * wander(rng, n, rate, 6) + 0.006 * wander(rng, n, rate, 60))
    tone = harmonics(pitch, rate, np.arange(1, 46) ** -0.35 * rng.uniform(0.4, 1, 45))
    pulses = 0.4 + np.cos(np.pi * cycles(pitch, rate)) ** 6
    chain = band_pass(coloured_noise(rng, n, rate), rate, 1200, 7000) * pulses
    body = rng.uniform((250, 1000, 2600), (600, 2000, 4500))
    sound = tone / 2 + (0.5 + 1.5 * cut) * chain

    def casing(hz: Array, _: Array) -> Array:
        return 0.2 + sum((resonance(hz, peak, 0.8 * peak) for peak in body), np.zeros_like(hz))

    return (0.35 + 0.65 * throttle) * sculpt(sound, rate, casing)


def small_saw(rng: Rng, n: int, rate: int) -> Array:
    """Circular saws and grinders: a tone that spins up, sags in the cut and runs down."""
    return blade(rng, n, rate, log_uniform(rng, 1400, 4200), hiss=(2200, 7600), drone=0.15)


def large_saw(rng: Rng, n: int, rate: int) -> Array:
    """Table, stone and road saws: a lower tone, an engine under it and a roar of abrasion."""
    return blade(rng, n, rate, log_uniform(rng, 500, 1400), hiss=(900, 6500), drone=0.5)


def blade(
    rng: Rng, n: int, rate: int, teeth: float, hiss: tuple[float, float], drone: float
) -> Array:
    """`teeth` Hz pass at full speed; sidebands at the turns of an eccentric disc."""
    cut, seconds = cutting(rng, n, rate), n / rate
    on = rng.uniform(-1.0, 0.35) * seconds
    off = on + rng.uniform(0.5, 1.6) * seconds if rng.uniform() < 0.5 else 2 * seconds
    off = max(off, on + 0.3, 0.4 * seconds)
    spin = curve(n, rate, (on, on + rng.uniform(0.2, 0.6), off, off + 1.2), (0.08, 1, 1, 0.08))
    spin *= 1 - rng.uniform(0.05, 0.25) * cut
    pitch = teeth * spin * (1 + 0.004 * wander(rng, n, rate, 8))
    turns = harmonics(pitch / rng.integers(12, 40), rate, (1.0,))
    tone = (1 + 0.4 * turns) * harmonics(pitch, rate, (1.0, 0.5, 0.3, 0.2, 0.1), rng.uniform())
    motor = harmonics(pitch / rng.integers(8, 14), rate, np.arange(1, 20) ** -0.5)
    spray = band_pass(coloured_noise(rng, n, rate), rate, *hiss) * (1 + 0.3 * turns)
    grind = band_pass(coloured_noise(rng, n, rate, -2.0), rate, 200, hiss[1])
    loud = spin**1.5
    return loud * (
        rng.uniform(0.5, 1.2) * tone
        + drone * motor
        + (0.2 + 1.6 * cut) * spray
        + cut * drone * 1.5 * grind
    )


def cutting(rng: Rng, n: int, rate: int) -> Array:
    """1 where the blade is in the material, 0 where it runs free."""
    state, times, values, at = float(rng.integers(2)), [0.0], [], 0.0
    values.append(state)
    while at < n / rate:
        at += rng.uniform(0.4, 2.2)
        times += [at, at + rng.uniform(0.08, 0.3)]
        values += [state, 1 - state]
        state, at = 1 - state, times[-1]
    return curve(n, rate, times, values) * np.clip(1 + 0.2 * wander(rng, n, rate, 8), 0.2, 1.5)


def bursts(rng: Rng, seconds: float) -> tuple[list[float], list[float]]:
    """A finger on the trigger: times and throttle, from 0 at idle to 1."""
    times, values, at = [0.0], [rng.uniform(0, 1)], 0.0
    while at < seconds:
        hold = rng.uniform(0.3, 1.8)
        times += [at + 0.12, at + hold, at + hold + 0.25]
        values += [1.0, 1.0, rng.uniform(0.0, 0.5)]
        at = times[-1] + rng.uniform(0.05, 0.8)
        times.append(at)
        values.append(values[-1])
    return times, values
