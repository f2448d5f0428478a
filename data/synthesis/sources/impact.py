"""Single impacts without a machine: slams and thuds, clanks and clatter, a hammer swung by hand."""

from __future__ import annotations

import numpy as np

from data.synthesis.signals import Array, Rng, band_pass, log_uniform, place, struck


def impact(rng: Rng, n: int, rate: int) -> Array:
    """One to eight blows on wood, sheet metal or something hollow, at no machine's rhythm."""
    out = np.zeros(n)
    blow = (slam, clank, hollow)[rng.integers(3)](rng, rate)
    for at, gain in zip(*strokes(rng, n / rate), strict=True):
        place(out, blow, int(at * rate), gain)
    return out


def strokes(rng: Rng, seconds: float) -> tuple[Array, Array]:
    """When and how hard: by themselves, bouncing, or hammered."""
    manner = rng.uniform()
    if manner < 0.4:
        times = np.sort(rng.uniform(0.0, 0.85, rng.integers(1, 3))) * seconds
        return times, rng.uniform(0.5, 1.0, len(times))
    if manner < 0.7:
        gaps = rng.uniform(0.1, 0.4) * rng.uniform(0.55, 0.8) ** np.arange(rng.integers(3, 9))
        times = rng.uniform(0.05, 0.6) * seconds + np.cumsum(gaps) - gaps[0]
        return times, rng.uniform(0.6, 0.85) ** np.arange(len(gaps))
    gaps = rng.uniform(0.3, 0.8) * rng.uniform(0.7, 1.4, rng.integers(3, 6))
    times = rng.uniform(0.0, 0.3) * seconds + np.cumsum(gaps) - gaps[0]
    return times, rng.uniform(0.6, 1.0, len(gaps))


def slam(rng: Rng, rate: int) -> Array:
    """A door, a dumpster's lid, a dropped board: low, dull, short."""
    modes = rng.uniform((60, 110, 180, 300, 500), (110, 180, 300, 500, 900))
    sound = struck(rng, int(0.8 * rate), rate, modes, log_uniform(rng, 0.04, 0.12), 1.0)
    return band_pass(sound, rate, 0, rng.uniform(1800, 5500))


def clank(rng: Rng, rate: int) -> Array:
    """Metal on metal: many modes out of tune, ringing."""
    lowest = log_uniform(rng, 350, 1400)
    modes = lowest * np.concatenate(([1.0], np.sort(rng.uniform(1.3, 6.0, 7))))
    return struck(rng, int(1.2 * rate), rate, modes, log_uniform(rng, 0.06, 0.35), 0.6)


def hollow(rng: Rng, rate: int) -> Array:
    """Bins, planks, containers: a few modes that die at once."""
    modes = rng.uniform((150, 300, 600, 1000), (350, 650, 1100, 2400))
    return struck(rng, int(0.6 * rate), rate, modes, log_uniform(rng, 0.02, 0.07), 0.8)
