"""Voices: glottal pulses and breath through formants that move with the syllables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.synthesis.signals import (
    Array,
    Rng,
    band_pass,
    buzz,
    coloured_noise,
    curve,
    log_uniform,
    resonance,
    reverberate,
    rms,
    sculpt,
    wander,
)

VOWELS = np.array(
    (
        (270, 2290, 3010),
        (390, 1990, 2550),
        (530, 1840, 2480),
        (660, 1720, 2410),
        (730, 1090, 2440),
        (570, 840, 2410),
        (440, 1020, 2240),
        (300, 870, 2240),
        (640, 1190, 2390),
    ),
    float,
)
"""First three formants of a man's vowels in Hz. Source: Peterson & Barney, JASA 1952, table II."""


@dataclass(frozen=True)
class Speaker:
    pitch: float  # Hz, at rest
    tract: float  # length of a man's vocal tract over this one's: formants are that much higher
    pace: float  # syllables a second
    effort: float  # 0 talks, 1 shouts: pitch, brightness, open vowels


def speaker(rng: Rng, effort: float) -> Speaker:
    man = rng.uniform() < 0.5
    pitch = log_uniform(rng, 85, 150) if man else log_uniform(rng, 160, 260)
    tract = rng.uniform(0.95, 1.08) if man else rng.uniform(1.12, 1.32)
    return Speaker(
        pitch * (1 + effort * rng.uniform(0.6, 1.3)), tract, rng.uniform(3.2, 6.0), effort
    )


def talking(rng: Rng, n: int, rate: int) -> Array:
    """One person, or two who take turns."""
    voice = utter(rng, n, rate, speaker(rng, rng.uniform(0, 0.25)))
    if rng.uniform() < 0.35:
        voice += rng.uniform(0.3, 0.9) * utter(rng, n, rate, speaker(rng, rng.uniform(0, 0.3)), 0.6)
    return voice


def shouting(rng: Rng, n: int, rate: int) -> Array:
    """Calls: high, bright, drawn out."""
    caller = speaker(rng, rng.uniform(0.7, 1.0))
    slow = Speaker(caller.pitch, caller.tract, rng.uniform(1.5, 3.5), caller.effort)
    return utter(rng, n, rate, slow, rng.uniform(0.2, 0.7))


def crowd(rng: Rng, n: int, rate: int) -> Array:
    """Seven to twelve people at once, a few louder than the rest."""
    people = [
        rng.exponential() * utter(rng, n, rate, speaker(rng, rng.uniform(0, 0.8)), 0.1)
        for _ in range(rng.integers(7, 13))
    ]
    return reverberate(rng, sum(people, np.zeros(n)), rate, 0.8, 0.6)


def amplified_speech(rng: Rng, n: int, rate: int) -> Array:
    """A megaphone or a loudspeaker: a narrow band, overdriven, with an echo."""
    voice = utter(rng, n, rate, speaker(rng, rng.uniform(0.2, 0.7)), 0.15)
    narrow = band_pass(voice, rate, rng.uniform(350, 550), rng.uniform(2600, 4200), 3)
    driven = np.tanh(rng.uniform(2, 6) * narrow / (rms(narrow) + 1e-12))
    return reverberate(rng, band_pass(driven, rate, 300, 5000), rate, rng.uniform(0.5, 1.5), 0.5)


def utter(rng: Rng, n: int, rate: int, who: Speaker, pauses: float = 0.35) -> Array:
    """Phrases of syllables, `pauses` the chance that one is followed by a breath: unit RMS."""
    score = syllables(rng, n / rate, who, pauses)
    voiced = curve(n, rate, *score.voice)
    melody = curve(n, rate, *score.melody) * (1 + 0.01 * wander(rng, n, rate, 30))
    breath = coloured_noise(rng, n, rate)
    throat = voiced * (buzz(who.pitch * melody, rate) + (0.06 + 0.1 * who.effort) * breath)
    times, targets = score.formants
    widths = np.array((90.0, 120.0, 170.0)) * (1 + 0.5 * who.effort)
    brightness = 0.5 + 0.35 * who.effort
    tilt = 1.25 - 0.5 * who.effort

    def mouth(hz: Array, seconds: Array) -> Array:
        gain = 0.012 + 0.12 * resonance(hz, 3500 * who.tract, 400)
        for formant, level in enumerate((1.0, brightness, 0.7 * brightness)):
            centre = np.interp(seconds, times, targets[:, formant]) * who.tract
            gain = gain + level * resonance(hz, centre, widths[formant])
        return gain * (1 + hz / 250) ** -tilt * hz / (hz + 60)

    hiss = curve(n, rate, *score.hiss) * breath
    consonants = band_pass(hiss, rate, rng.uniform(2200, 3800), 7800)
    voice = sculpt(throat, rate, mouth)
    voice = voice / (rms(voice) + 1e-12) + rng.uniform(0.15, 0.4) * consonants
    return voice / (rms(voice) + 1e-12)


@dataclass
class Score:
    """What the mouth does when: curves as (seconds, values)."""

    voice: tuple[list[float], list[float]]
    melody: tuple[list[float], list[float]]
    hiss: tuple[list[float], list[float]]
    formants: tuple[list[float], Array]


def syllables(rng: Rng, seconds: float, who: Speaker, pauses: float) -> Score:
    """Consonant, vowel, consonant, vowel: the pitch falls along a phrase and jumps on accents."""
    at, phrase, vowels = rng.uniform(0.0, 0.25) * seconds, 0.0, []
    score = Score(([at], [0.0]), ([0.0], [1.0]), ([0.0], [0.0]), ([], np.zeros((0, 3))))
    while at < seconds:
        length = rng.uniform(0.7, 1.4) / who.pace
        consonant = min(rng.uniform(0.03, 0.11), 0.5 * length)
        if rng.uniform() < 0.45:  # fricative, or the burst of a plosive
            burst = consonant if rng.uniform() < 0.6 else 0.015
            start = at + consonant - burst
            score.hiss[0].extend((start, start + 0.3 * burst, start + 0.8 * burst, at + consonant))
            score.hiss[1].extend((0.0, 1.0, rng.uniform(0.4, 1.0), 0.0))
        onset = rng.choice((0.0, 0.0, 0.25))  # unvoiced, or nasal and liquid
        loud = rng.uniform(0.45, 1.0) * (1 + 0.5 * (phrase == 0))
        score.voice[0].extend(
            (at + 0.005, at + consonant, at + consonant + 0.025, at + length - 0.02)
        )
        score.voice[1].extend((onset, onset, loud, 0.7 * loud))
        accent = rng.uniform(0.9, 1.12) * (1.25 if rng.uniform() < 0.2 + 0.2 * who.effort else 1.0)
        score.melody[0].extend((at + consonant, at + 0.8 * length))
        fall = max(1.12 - 0.1 * phrase, 0.8)
        score.melody[1].extend((fall * accent, fall * accent * rng.uniform(0.85, 1.08)))
        score.formants[0].extend((at + consonant + 0.02, at + 0.8 * length))
        vowel = VOWELS[rng.integers(len(VOWELS))] * rng.uniform(0.94, 1.06, 3)
        vowel[0] *= 1 + 0.3 * who.effort
        vowels += [vowel, vowel * rng.uniform(0.93, 1.07, 3)]
        at, phrase = at + length, phrase + length
        if rng.uniform() < pauses * 0.6 * phrase:
            score.voice[0].extend((at, at + 0.05))
            score.voice[1].extend((0.5 * loud, 0.0))
            at, phrase = at + rng.uniform(0.2, 0.8), 0.0
            score.voice[0].append(at)
            score.voice[1].append(0.0)
    return Score(score.voice, score.melody, score.hiss, (score.formants[0], np.array(vowels)))
