"""The street: the sound sources of a clip, their distances, the background and the sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, rfft, rfftfreq
from scipy.ndimage import uniform_filter1d

from data.synthesis.signals import (
    Array,
    Rng,
    band_pass,
    coloured_noise,
    harmonics,
    log_uniform,
    place,
    reverberate,
    wander,
)
from data.synthesis.sources import SOURCES

SHARES = np.array((1.0, 0.25, 0.26, 0.17, 0.32, 0.15, 0.64, 0.15))
"""The probability of each coarse class in a clip, at an average sensor: about as in SONYC-UST, with
more music and dogs, which would be too rare to evaluate otherwise."""

KINDS = {
    "1": {"1-1": 0.2, "1-2": 0.4, "1-3": 0.4},
    "2": {"2-1": 0.25, "2-2": 0.3, "2-3": 0.2, "2-4": 0.15, "2-X": 0.1},
    "3": {"3-1": 1.0},
    "4": {"4-1": 0.3, "4-2": 0.4, "4-3": 0.3},
    "5": {"5-1": 0.35, "5-2": 0.1, "5-3": 0.3, "5-4": 0.25},
    "6": {"6-1": 0.6, "6-2": 0.25, "6-3": 0.15},
    "7": {"7-1": 0.65, "7-2": 0.2, "7-3": 0.07, "7-4": 0.08},
    "8": {"8-1": 1.0},
}
"""How each coarse class divides into its sources."""

NUMBER_OF_CLASSES = (0.03, 0.47, 0.31, 0.14, 0.05)
"""The probability of none, one, two ... coarse classes in a clip."""

EQUALISER_HZ = np.array((30, 62, 125, 250, 500, 1000, 2000, 4000, 8000, 16000))


@dataclass(frozen=True, slots=True)
class Sensor:
    """One microphone on one wall."""

    shares: Array  # of the coarse classes
    background_db: float  # A-weighted, of full scale, on an average day
    slope_db: float  # an octave, of the background's spectrum
    traffic: float  # level of the wash of distant traffic
    hum_hz: float  # of a fan or transformer nearby
    hum: float  # its level; 0: none
    birds: float  # share of the clips with birds
    street_seconds: float  # reverberation time between the facades
    equaliser_db: Array  # at EQUALISER_HZ
    self_noise_db: float  # of full scale


@dataclass(frozen=True, slots=True)
class Event:
    """A source in a clip."""

    kind: str  # code in SOURCES
    metres: float
    above_background_db: float  # A-weighted, its loudest 125 ms against the mean of the background


def sample_sensor(rng: Rng) -> Sensor:
    return Sensor(
        shares=SHARES * np.exp(0.4 * rng.standard_normal(len(SHARES))),
        background_db=rng.uniform(-48, -36),
        slope_db=rng.uniform(-6.5, -3.5),
        traffic=rng.uniform(0.2, 1.5),
        hum_hz=rng.choice((60.0, 120.0, 120.0)) if rng.uniform() < 0.5 else rng.uniform(70, 300),
        hum=rng.uniform(0.05, 0.4) if rng.uniform() < 0.5 else 0.0,
        birds=rng.uniform(0.0, 0.3),
        street_seconds=rng.uniform(0.4, 1.4),
        equaliser_db=np.cumsum(1.3 * rng.standard_normal(len(EQUALISER_HZ))),
        self_noise_db=rng.uniform(-72, -62),
    )


def sample_events(rng: Rng, sensor: Sensor) -> list[Event]:
    """Coarse classes with the frequencies of the sensor; sometimes two sources of one."""
    count = rng.choice(len(NUMBER_OF_CLASSES), p=NUMBER_OF_CLASSES)
    shares = sensor.shares / sensor.shares.sum()
    events = []
    for index in rng.choice(len(shares), count, replace=False, p=shares):
        kinds = KINDS[str(index + 1)]
        sources = min(1 + (rng.uniform() < 0.12), len(kinds))
        for kind in rng.choice(list(kinds), sources, replace=False, p=list(kinds.values())):
            metres = log_uniform(rng, 4, 80)
            above = 23 - 16 * np.log10(metres / 4) + 3 * rng.standard_normal()
            events.append(Event(str(kind), metres, float(np.clip(above, 0, 26))))
    return events


def render(rng: Rng, sensor: Sensor, events: list[Event], n: int, rate: int) -> Array:
    """The recording: n samples at rate Hz in [-0.95, 0.95]."""
    street = background(rng, sensor, n, rate)
    level = sensor.background_db + 2.5 * rng.standard_normal()
    street *= 10 ** (level / 20) / np.sqrt(np.mean(loudness(street, rate)))
    for event in events:
        sound = from_afar(rng, SOURCES[event.kind](rng, n, rate), rate, event.metres, sensor)
        loudest = np.sqrt(loudness(sound, rate).max())
        street += sound * 10 ** ((level + event.above_background_db) / 20) / loudest
    return recorded(rng, sensor, street, rate)


def background(rng: Rng, sensor: Sensor, n: int, rate: int) -> Array:
    """A city's rumble, a wash of traffic that comes and goes, wind, hum, birds, at any level."""
    street = coloured_noise(rng, n, rate, sensor.slope_db + rng.uniform(-0.7, 0.7))
    wash = band_pass(coloured_noise(rng, n, rate, -3.0), rate, 100, rng.uniform(900, 2200), 1)
    street += sensor.traffic * wash * 10 ** (0.2 * wander(rng, n, rate, 0.4))
    if rng.uniform() < 0.3:
        gusts = np.maximum(wander(rng, n, rate, 1.5), 0) ** 2
        street += 3 * gusts * band_pass(coloured_noise(rng, n, rate, -6.0), rate, 0, 150)
    if sensor.hum:
        steady = np.full(n, sensor.hum_hz)
        street += sensor.hum * harmonics(steady, rate, (1.0, 0.7, 0.2, 0.4, 0.1, 0.2))
    if rng.uniform() < sensor.birds:
        street += rng.uniform(0.03, 0.12) * birds(rng, n, rate)
    return street


def birds(rng: Rng, n: int, rate: int) -> Array:
    """A few chirps of 2.5 to 6 kHz. They are not tagged: background only."""
    out, pitch = np.zeros(n), log_uniform(rng, 2500, 5500)
    for at in np.sort(rng.uniform(0, n, rng.integers(3, 14))):
        length = int(rng.uniform(0.04, 0.15) * rate)
        first, last = rng.uniform(0.85, 1.2, 2)
        sweep = np.linspace(first, last, length)
        place(out, np.hanning(length) * harmonics(pitch * sweep, rate, (1.0, 0.1)), int(at))
    return out


def from_afar(rng: Rng, sound: Array, rate: int, metres: float, sensor: Sensor) -> Array:
    """Distance takes the treble and leaves the echo."""
    treble = 12_000 * (metres / 4) ** -0.55
    if treble < 0.45 * rate:
        sound = band_pass(sound, rate, 0, treble, order=1)
    return reverberate(rng, sound, rate, sensor.street_seconds, 0.08 * (metres / 4) ** 0.6)


def recorded(rng: Rng, sensor: Sensor, street: Array, rate: int) -> Array:
    """The microphone's frequency response, its own noise, and a converter that does not clip."""
    signal = equalised(street, rate, sensor.equaliser_db)
    signal += 10 ** (sensor.self_noise_db / 20) * coloured_noise(rng, len(street), rate)
    return signal * min(1.0, 0.95 / np.abs(signal).max())


def equalised(signal: Array, rate: int, equaliser_db: Array) -> Array:
    """Through a microphone: `equaliser_db` at EQUALISER_HZ, 0 dB at 1 kHz, a high-pass at 50 Hz.

    Shapes: (..., n) -> (..., n).
    """
    hz = rfftfreq(signal.shape[-1], 1 / rate)
    gain_db = np.interp(np.log2(np.maximum(hz, 1)), np.log2(EQUALISER_HZ), equaliser_db)
    response = 10 ** ((gain_db - equaliser_db[5]) / 20) * hz**2 / (hz**2 + 50.0**2)
    return irfft(rfft(signal) * response, signal.shape[-1])


def loudness(signal: Array, rate: int) -> Array:
    """A-weighted power over 125 ms around each sample.

    Source: IEC 61672-1, annex E (weighting A) and time weighting F.
    Differs: a running mean instead of an exponential one.
    """
    hz = rfftfreq(len(signal), 1 / rate) ** 2
    weight = hz**2 / ((hz + 20.6**2) * np.sqrt((hz + 107.7**2) * (hz + 737.9**2)))
    weight *= 1.2589 * 12194.0**2 / (hz + 12194.0**2)
    weighted = irfft(rfft(signal) * weight, len(signal))
    return np.maximum(uniform_filter1d(weighted**2, int(0.125 * rate), mode="constant"), 1e-20)
