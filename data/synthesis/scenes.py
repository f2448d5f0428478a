"""The ten scenes: their sound sources, places and recording devices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.synthesis.signals import (
    Array,
    Rng,
    coloured_noise,
    log_uniform,
    reverberate,
)
from data.synthesis.sources.alert import car_horn, siren
from data.synthesis.sources.dog import dog
from data.synthesis.sources.engine import large_engine, medium_engine, small_engine
from data.synthesis.sources.impact import impact
from data.synthesis.sources.music import stationary_music
from data.synthesis.sources.place import (
    air_brake,
    announcement,
    birds,
    footsteps,
    fountain,
    leaves,
    murmur,
    rattle,
    suitcase,
    ventilation,
)
from data.synthesis.sources.rail import (
    bell,
    doors,
    metro_ride,
    squeal,
    train_passing,
    tram_ride,
)
from data.synthesis.sources.voice import shouting, talking
from data.synthesis.street import EQUALISER_HZ, equalised, loudness

MAX_DELAY_SECONDS = 0.0006  # between the channels, of a sound from the side
MAX_LEVEL_DIFFERENCE_DB = 6.0  # between the channels


@dataclass(frozen=True, slots=True)
class Part:
    """A source that may occur in a scene."""

    source: Callable[[Rng, int, int], Array]
    chance: float  # to occur in a clip
    low_db: float  # its loudest 125 ms above the bed, A-weighted, from …
    high_db: float  # … to


@dataclass(frozen=True, slots=True)
class Scene:
    """The bed is noise that falls by `slope_db` an octave, the same from everywhere."""

    slope_db: float
    reverberation: tuple[float, float]  # s, of its places
    parts: tuple[Part, ...]


SCENES = {
    "airport": Scene(
        -4.5,
        (1.1, 2.0),
        (
            Part(ventilation, 0.9, -2, 5),
            Part(murmur, 0.9, 2, 10),
            Part(suitcase, 0.75, 4, 13),
            Part(announcement, 0.5, 5, 13),
            Part(footsteps, 0.5, 2, 9),
            Part(talking, 0.4, 3, 11),
            Part(impact, 0.1, 3, 10),
            Part(stationary_music, 0.1, 0, 7),
        ),
    ),
    "shopping_mall": Scene(
        -4.5,
        (0.9, 1.8),
        (
            Part(ventilation, 0.9, -2, 5),
            Part(murmur, 0.9, 2, 10),
            Part(suitcase, 0.15, 3, 11),
            Part(announcement, 0.1, 5, 13),
            Part(footsteps, 0.6, 2, 9),
            Part(talking, 0.5, 3, 11),
            Part(impact, 0.25, 3, 10),
            Part(stationary_music, 0.6, 2, 11),
        ),
    ),
    "metro_station": Scene(
        -6.0,
        (1.3, 2.4),
        (
            Part(train_passing, 0.8, 7, 17),
            Part(ventilation, 0.5, -4, 4),
            Part(murmur, 0.4, 0, 8),
            Part(footsteps, 0.7, 2, 10),
            Part(talking, 0.4, 3, 11),
            Part(announcement, 0.3, 5, 13),
            Part(doors, 0.25, 4, 12),
        ),
    ),
    "street_pedestrian": Scene(
        -5.0,
        (0.4, 1.0),
        (
            Part(talking, 0.9, 6, 15),
            Part(footsteps, 0.85, 5, 13),
            Part(murmur, 0.35, 0, 9),
            Part(stationary_music, 0.25, 2, 10),
            Part(medium_engine, 0.2, 0, 8),
            Part(shouting, 0.15, 3, 12),
            Part(impact, 0.15, 3, 11),
        ),
    ),
    "public_square": Scene(
        -5.0,
        (0.5, 1.2),
        (
            Part(talking, 0.75, 5, 14),
            Part(footsteps, 0.75, 4, 12),
            Part(murmur, 0.6, 2, 10),
            Part(stationary_music, 0.2, 2, 10),
            Part(medium_engine, 0.35, 2, 10),
            Part(fountain, 0.35, 0, 9),
            Part(birds, 0.12, 1, 9),
        ),
    ),
    "street_traffic": Scene(
        -5.5,
        (0.3, 0.9),
        (
            Part(medium_engine, 0.95, 6, 15),
            Part(medium_engine, 0.8, 4, 14),
            Part(large_engine, 0.35, 4, 14),
            Part(small_engine, 0.25, 4, 14),
            Part(car_horn, 0.1, 3, 12),
            Part(siren, 0.05, 3, 12),
            Part(footsteps, 0.25, 0, 7),
            Part(talking, 0.15, 0, 8),
        ),
    ),
    "park": Scene(
        -4.0,
        (0.2, 0.6),
        (
            Part(birds, 0.85, 3, 13),
            Part(leaves, 0.8, 0, 9),
            Part(talking, 0.3, 2, 10),
            Part(footsteps, 0.35, 2, 9),
            Part(dog, 0.2, 3, 12),
            Part(medium_engine, 0.2, -2, 6),
        ),
    ),
    "bus": Scene(
        -7.5,
        (0.15, 0.35),
        (
            Part(large_engine, 1.0, 8, 16),
            Part(rattle, 0.6, 3, 11),
            Part(talking, 0.4, 3, 11),
            Part(air_brake, 0.3, 4, 12),
            Part(doors, 0.15, 3, 11),
            Part(announcement, 0.1, 3, 10),
        ),
    ),
    "metro": Scene(
        -7.0,
        (0.15, 0.4),
        (
            Part(metro_ride, 1.0, 8, 17),
            Part(talking, 0.4, 3, 11),
            Part(squeal, 0.2, 2, 10),
            Part(doors, 0.25, 4, 12),
            Part(announcement, 0.35, 4, 12),
            Part(rattle, 0.2, 0, 8),
        ),
    ),
    "tram": Scene(
        -7.0,
        (0.15, 0.35),
        (
            Part(tram_ride, 1.0, 8, 17),
            Part(talking, 0.4, 3, 11),
            Part(squeal, 0.3, 2, 11),
            Part(doors, 0.15, 4, 12),
            Part(announcement, 0.1, 4, 12),
            Part(rattle, 0.4, 2, 10),
            Part(bell, 0.4, 5, 13),
        ),
    ),
}
"""Three pairs share nearly all of their sources: they differ in how often and how loud each
occurs, and in one or two sources."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place, or one line and its vehicle, with a characteristic sound."""

    level_db: float  # of its bed, A-weighted, of full scale, on average
    slope_db: float
    reverberation: float  # s
    louder_db: Array  # of each part of its scene
    likelier: Array  # factor of the chance of each part


@dataclass(frozen=True, slots=True)
class Device:
    """A recorder: its frequency response, at EQUALISER_HZ, and its own noise."""

    equaliser_db: Array
    noise_db: float  # of full scale


def sample_place(rng: Rng, scene: Scene) -> Place:
    return Place(
        level_db=rng.uniform(-46, -36),
        slope_db=scene.slope_db + 0.5 * rng.standard_normal(),
        reverberation=log_uniform(rng, *scene.reverberation),
        louder_db=1.5 * rng.standard_normal(len(scene.parts)),
        likelier=np.exp(0.25 * rng.standard_normal(len(scene.parts))),
    )


def sample_device(rng: Rng, name: str) -> Device:
    """The reference device, a, is flat and quiet."""
    if name == "a":
        return Device(np.zeros(len(EQUALISER_HZ)), -78.0)
    return Device(np.cumsum(1.3 * rng.standard_normal(len(EQUALISER_HZ))), rng.uniform(-74, -64))


def render(rng: Rng, scene: Scene, place: Place, device: Device, n: int, rate: int) -> Array:
    """A recording: (2, n) samples at rate Hz in [-0.95, 0.95]."""
    middle = coloured_noise(rng, n, rate, place.slope_db)
    sides = [coloured_noise(rng, n, rate, place.slope_db) for _ in range(2)]
    signal = np.stack([0.6 * middle + 0.8 * side for side in sides])
    level = place.level_db + 2.0 * rng.standard_normal()
    signal *= 10 ** (level / 20) / np.sqrt(np.mean(loudness(signal[0], rate)))
    for part, louder_db, likelier in zip(scene.parts, place.louder_db, place.likelier, strict=True):
        if rng.uniform() < part.chance * likelier:
            sound = part.source(rng, n, rate)
            above_db = rng.uniform(part.low_db, part.high_db) + louder_db
            loudest = np.sqrt(loudness(sound, rate).max())
            sound = sound * 10 ** ((level + above_db) / 20) / loudest
            signal += binaural(rng, sound, rate, place.reverberation)
    return recorded(rng, device, signal, rate)


def binaural(rng: Rng, sound: Array, rate: int, reverberation: float) -> Array:
    """From a random direction, with different echoes in both channels: (n,) -> (2, n)."""
    side, distance = rng.uniform(-1, 1), rng.uniform()
    delay = round(abs(side) * MAX_DELAY_SECONDS * rate)
    late = np.concatenate([np.zeros(delay), sound])[: len(sound)]
    channels = (sound, late) if side < 0 else (late, sound)
    gains = 10 ** (MAX_LEVEL_DIFFERENCE_DB / 2 * side * np.array((-1, 1)) / 20)
    wet = 0.1 + 0.5 * distance * min(1.0, reverberation)
    return np.stack(
        [
            gain * reverberate(rng, channel, rate, reverberation, wet)
            for gain, channel in zip(gains, channels, strict=True)
        ]
    )


def recorded(rng: Rng, device: Device, scene: Array, rate: int) -> Array:
    """Through the device's microphones and converter, which does not clip: (2, n) -> (2, n)."""
    signal = equalised(scene, rate, device.equaliser_db)
    noise = [coloured_noise(rng, signal.shape[1], rate) for _ in range(2)]
    signal = signal + 10 ** (device.noise_db / 20) * np.stack(noise)
    return signal * min(1.0, 0.95 / np.abs(signal).max())
