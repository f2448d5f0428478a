"""street_scenes on disk, laid out like TAU Urban Acoustic Scenes, each clip from its own seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from data.atomic_write import write
from data.synthesis.once import make_once, on_all_cores
from data.synthesis.scenes import SCENES, Device, Place, render, sample_device, sample_place

CITIES = {
    "train": ("aarhus", "bergen", "bruges", "cork", "ghent", "lund", "malmo", "porto", "turku"),
    "test": ("bergen", "cork", "lund", "porto", "zadar"),
}
DEVICES = {
    "train": ("a", "a", "b", "a", "a", "c", "a", "a", "s1", "s2"),
    "test": ("a", "a", "b", "a", "s1", "c", "a", "s2", "a", "s4"),
}
"""The devices of the clips in turn: s4 is only in test."""

# The second number of a seed sequence: what it is for.
CLIP, PLACE, DEVICE = range(3)


@dataclass(frozen=True, slots=True)
class Job:
    """One clip to make."""

    seed: int
    number: int  # in the whole data set
    part: str  # "train" or "test"
    scene: str
    city: str
    place: int  # in the whole data set
    device: str
    folder: Path
    seconds: float
    sample_rate: int

    @property
    def filename(self) -> str:
        return f"audio/{self.scene}-{self.city}-{self.place}-{self.number}-{self.device}.wav"


def synthesise(
    root: Path,
    *,
    seed: int = 0,
    workers: int = 0,
    train_places: int = 10,
    test_places: int = 5,
    segments: int = 4,
    seconds: float = 4.0,
    sample_rate: int = 16_000,
) -> None:
    """Write street_scenes below `root` in the layout of TAU Urban Acoustic Scenes, if missing.

    audio/ holds {scene}-{city}-{place}-{segment}-{device}.wav (16 bit, stereo), `segments` of each
    of the places that each scene has; meta.csv and evaluation_setup/fold1_*.csv are their tables.
    The same seed gives the same bytes whatever `workers` is (processes; 0: one per core).

    Everything is written to a hidden folder first and then moved (see `make_once`). Raises
    UserError where `root` has other recordings.
    """
    places = {"train": train_places, "test": test_places}

    def make_all(folder: Path) -> None:
        make(list(jobs(seed, places, segments, folder, seconds, sample_rate)), folder, workers)

    make_once("street_scenes", root, ["audio", "evaluation_setup", "meta.csv"], make_all)


def jobs(
    seed: int,
    places: dict[str, int],
    segments: int,
    folder: Path,
    seconds: float,
    sample_rate: int,
) -> Iterator[Job]:
    """The clips of each split, scene by scene and place by place."""
    number, place = 0, 0
    for part, count in places.items():
        cities, devices = CITIES[part], DEVICES[part]
        for scene in SCENES:
            for index in range(count):
                city = cities[index % len(cities)]
                for _ in range(segments):
                    device = devices[number % len(devices)]
                    where = (part, scene, city, place, device)
                    yield Job(seed, number, *where, folder, seconds, sample_rate)
                    number += 1
                place += 1


def make(todo: Sequence[Job], folder: Path, workers: int) -> None:
    (folder / "audio").mkdir(parents=True)
    (folder / "evaluation_setup").mkdir()
    on_all_cores("synthesising street_scenes", make_clip, todo, workers)
    train = [(job.filename, job.scene) for job in todo if job.part == "train"]
    test = [(job.filename, job.scene) for job in todo if job.part == "test"]
    head, setup = ("filename", "scene_label"), folder / "evaluation_setup"
    write(setup / "fold1_train.csv", tabbed([head, *train]))
    write(setup / "fold1_evaluate.csv", tabbed([head, *test]))
    write(setup / "fold1_test.csv", tabbed([head[:1], *(row[:1] for row in test)]))
    clips = [(job.filename, job.scene, f"{job.city}-{job.place}", job.device) for job in todo]
    write(folder / "meta.csv", tabbed([(*head, "identifier", "source_label"), *clips]))


def tabbed(rows: Iterable[tuple[str, ...]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def make_clip(job: Job) -> None:
    import soundfile

    rng = np.random.default_rng(np.random.SeedSequence((job.seed, CLIP, job.number)))
    place, device = place_of(job.seed, job.scene, job.place), device_of(job.seed, job.device)
    n = round(job.seconds * job.sample_rate)
    signal = render(rng, SCENES[job.scene], place, device, n, job.sample_rate)
    pcm = np.round(32767 * signal.T).astype(np.int16)
    soundfile.write(job.folder / job.filename, pcm, job.sample_rate, subtype="PCM_16")


@cache
def place_of(seed: int, scene: str, number: int) -> Place:
    rng = np.random.default_rng(np.random.SeedSequence((seed, PLACE, number)))
    return sample_place(rng, SCENES[scene])


@cache
def device_of(seed: int, name: str) -> Device:
    """Seeded by its name, so independent of the other devices."""
    numbers = (seed, DEVICE, *name.encode())
    return sample_device(np.random.default_rng(np.random.SeedSequence(numbers)), name)
