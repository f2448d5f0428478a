"""Music: bars of chords, bass, melody and drums, and the jingle of an ice cream truck."""

from __future__ import annotations

import numpy as np

from data.synthesis.signals import (
    Array,
    Rng,
    band_pass,
    coloured_noise,
    cycles,
    harmonics,
    log_uniform,
    place,
)
from data.synthesis.sources.engine import passing

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 4), (0, 0, 3, 4), (5, 3, 0, 4))


def stationary_music(rng: Rng, n: int, rate: int) -> Array:
    """From a shop, a window, a street musician: a band, or a melody alone."""
    if rng.uniform() < 0.3:
        return band(rng, n, rate, drums=0.0, bass=0.0)
    return band(rng, n, rate, drums=rng.uniform(0.0, 1.0), bass=rng.uniform(0.4, 1.0))


def mobile_music(rng: Rng, n: int, rate: int) -> Array:
    """From a car that goes by with open windows: beat and bass first."""
    sound = band(rng, n, rate, drums=rng.uniform(0.8, 1.4), bass=rng.uniform(1.0, 2.0))
    return passing(rng, band_pass(sound, rate, 0, rng.uniform(1500, 6000)), rate)


def ice_cream_truck(rng: Rng, n: int, rate: int) -> Array:
    """A music box through a horn loudspeaker: one bright melody, over and over."""
    beat, key = rng.uniform(0.16, 0.26), int(rng.integers(69, 79))
    out, at, degree = np.zeros(n), -rng.uniform(0, 0.3), int(rng.integers(8))
    while at < n / rate:
        held = beat * rng.choice((1, 1, 2))
        note = chime(rng, 0.7, rate, hertz(key + step(SCALES[0], degree)))
        place(out, note, int(at * rate), rng.uniform(0.7, 1.0))
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, 10))
        at += held
    return band_pass(np.tanh(1.5 * out), rate, 450, 4500)


def band(rng: Rng, n: int, rate: int, drums: float, bass: float) -> Array:
    """Bars of four beats: a chord each, a walking bass, a melody of eighths, three drums."""
    beat = 60 / rng.uniform(72, 150)
    key, scale = int(rng.integers(50, 62)), SCALES[rng.integers(len(SCALES))]
    chords = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    pad, lead = rng.choice(len(INSTRUMENTS), 2)
    melody_level, chord_level = rng.uniform(0.3, 1.0), rng.uniform(0.2, 0.8)
    offset, degree, swing = rng.uniform(0, 4), 7, rng.uniform(0.3, 0.8)
    kit, out = [drum(rng, rate) for drum in (kick, snare, hat)], np.zeros(n)
    for eighth in range(int(2 * offset) - 1, int(2 * (offset + n / rate / beat)) + 2):
        at = int((eighth / 2 - offset) * beat * rate)
        root = chords[(eighth // 8) % len(chords)]
        if eighth % 4 == 0:
            for third in (0, 2, 4):
                pitch = hertz(key + step(scale, root + third))
                place(out, INSTRUMENTS[pad](rng, 2 * beat, rate, pitch), at, chord_level / 2)
        if bass and eighth % 2 == 0:
            pitch = hertz(key - 12 + step(scale, root + int(rng.choice((0, 0, 2, 4)))))
            place(out, plucked(rng, beat, rate, pitch), at, 1.2 * bass)
        if rng.uniform() < swing:
            degree = int(np.clip(degree + rng.integers(-2, 3), 3, 14))
            tone = hertz(key + step(scale, degree))
            place(
                out,
                INSTRUMENTS[lead](rng, beat * rng.uniform(0.5, 1.2), rate, tone),
                at,
                melody_level,
            )
        if drums:
            strokes = (eighth % 4 == 0, eighth % 4 == 2, True)
            for stroke, drum, gain in zip(strokes, kit, (1.6, 1.0, 0.35), strict=True):
                if stroke:
                    place(out, drum, at, drums * gain * rng.uniform(0.8, 1.0))
    return out


def hertz(midi: float) -> float:
    return 440.0 * 2 ** ((midi - 69) / 12)


def step(scale: tuple[int, ...], degree: int) -> int:
    """Semitones above the key of a degree of the scale, counted from 0."""
    octave, place_in_scale = divmod(degree, len(scale))
    return 12 * octave + scale[place_in_scale]


def tone(
    seconds: float, rate: int, pitch: float, strengths: Array, fall: float, vibrato: float = 0.0
) -> Array:
    """A note that decays with time constant `fall` seconds and stops softly."""
    n = int(seconds * rate)
    time = np.arange(n) / rate
    level = (
        np.minimum(time / 0.012, 1) * np.exp(-time / fall) * np.clip((seconds - time) / 0.03, 0, 1)
    )
    return level * harmonics(pitch * (1 + vibrato * np.sin(33 * time)), rate, strengths)


def plucked(rng: Rng, seconds: float, rate: int, pitch: float) -> Array:
    return tone(seconds, rate, pitch, np.arange(1.0, 13) ** -1.1, 0.25)


def organ(rng: Rng, seconds: float, rate: int, pitch: float) -> Array:
    return tone(seconds, rate, pitch, np.array((0.6, 0.5, 0.4, 0.3, 0, 0.2, 0, 0.15)), 4.0, 0.002)


def strings(rng: Rng, seconds: float, rate: int, pitch: float) -> Array:
    return tone(seconds, rate, pitch, 0.6 * np.arange(1.0, 15) ** -0.9, 3.0, 0.005)


def reed(rng: Rng, seconds: float, rate: int, pitch: float) -> Array:
    strengths = np.array((0.7, 0.1, 0.6, 0.1, 0.4, 0.1, 0.3, 0.05, 0.15))
    return tone(seconds, rate, pitch, strengths, 3.0, 0.006)


def chime(rng: Rng, seconds: float, rate: int, pitch: float) -> Array:
    return tone(seconds, rate, pitch, np.array((1.0, 0.3, 0.4, 0.1, 0.15)), 0.22)


INSTRUMENTS = (plucked, organ, strings, reed, chime)


def kick(rng: Rng, rate: int) -> Array:
    time = np.arange(int(0.3 * rate)) / rate
    pitch = rng.uniform(42, 60) + rng.uniform(60, 140) * np.exp(-time / 0.03)
    click = 0.3 * rng.standard_normal(len(time)) * np.exp(-time / 0.003)
    return (np.sin(2 * np.pi * cycles(pitch, rate)) + click) * np.exp(-time / 0.09)


def snare(rng: Rng, rate: int) -> Array:
    time = np.arange(int(0.3 * rate)) / rate
    body = np.sin(2 * np.pi * rng.uniform(170, 240) * time) * np.exp(-time / 0.05)
    rattle = band_pass(coloured_noise(rng, len(time), rate), rate, 900, 7000)
    return body + 0.8 * rattle * np.exp(-time / log_uniform(rng, 0.04, 0.1))


def hat(rng: Rng, rate: int) -> Array:
    time = np.arange(int(0.15 * rate)) / rate
    hiss = band_pass(coloured_noise(rng, len(time), rate), rate, 4500, rate)
    return hiss * np.exp(-time / log_uniform(rng, 0.015, 0.06))
