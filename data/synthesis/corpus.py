"""street_sounds on disk: splits by sensor, each clip from its own seed, on all cores."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from data.atomic_write import write
from data.synthesis.annotations import (
    VERIFIED,
    Volunteer,
    row,
    sample_volunteers,
    verified_answer,
    volunteer_answer,
)
from data.synthesis.once import make_once, on_all_cores
from data.synthesis.street import Sensor, render, sample_events, sample_sensor
from data.synthesis.taxonomy import COLUMNS, taxonomy_yaml

SENSORS = {"train": range(12), "validate": range(12, 15), "test": range(15, 20)}
VOLUNTEERS_PER_CLIP = 3

# The second number of a seed sequence: what it is for.
CLIP, SENSOR, POOL = range(3)


@dataclass(frozen=True, slots=True)
class Job:
    """One clip to make."""

    seed: int
    number: int  # in the whole data set
    split: str
    sensor: int
    folder: Path
    seconds: float
    sample_rate: int


def synthesise(
    root: Path,
    *,
    seed: int = 0,
    workers: int = 0,
    train: int = 600,
    validate: int = 200,
    test: int = 300,
    seconds: float = 4.0,
    sample_rate: int = 16_000,
) -> None:
    """Write street_sounds below `root` in the layout of SONYC-UST v1, unless it is there already.

    train/, validate/ and test/ hold SS_NNNNNN.wav (16 bit, mono; SS is the sensor),
    annotations.csv three volunteers per training clip and one verified row (annotator 0) for each
    other clip, dcase-ust-taxonomy.yaml the classes. The same seed gives the same bytes whatever
    `workers` is (processes; 0: one per core).

    Everything is written to a hidden folder first and then moved (see `make_once`). Raises
    UserError where `root` has other recordings.
    """
    clips = dict(zip(SENSORS, (train, validate, test), strict=True))

    def make_all(folder: Path) -> None:
        make(list(jobs(seed, clips, folder, seconds, sample_rate)), folder, workers)

    entries = [*SENSORS, "dcase-ust-taxonomy.yaml", "annotations.csv"]
    make_once("street_sounds", root, entries, make_all)


def jobs(
    seed: int, clips: dict[str, int], folder: Path, seconds: float, sample_rate: int
) -> Iterator[Job]:
    """The clips of each split, its sensors in turn."""
    number = 0
    for split, count in clips.items():
        for index in range(count):
            sensor = SENSORS[split][index % len(SENSORS[split])]
            yield Job(seed, number, split, sensor, folder, seconds, sample_rate)
            number += 1


def make(todo: list[Job], folder: Path, workers: int) -> None:
    for split in SENSORS:
        (folder / split).mkdir(parents=True)
    answers = on_all_cores("synthesising street_sounds", make_clip, todo, workers)
    rows = [row for of_clip in answers for row in of_clip]
    (folder / "dcase-ust-taxonomy.yaml").write_text(taxonomy_yaml(), encoding="utf-8")
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    write(folder / "annotations.csv", text.getvalue())


def make_clip(job: Job) -> list[list[str]]:
    """Write one clip; its rows of annotations.csv."""
    import soundfile

    rng = np.random.default_rng(np.random.SeedSequence((job.seed, CLIP, job.number)))
    sensor = sensor_of(job.seed, job.sensor)
    events = sample_events(rng, sensor)
    filename = f"{job.sensor:02d}_{job.number:06d}.wav"
    answers = {VERIFIED: verified_answer(rng, events)}
    if job.split == "train":
        pool = volunteers_of(job.seed)
        chosen = sorted(rng.choice(len(pool), VOLUNTEERS_PER_CLIP, replace=False))
        answers = {pool[k].number: volunteer_answer(rng, pool[k], events) for k in chosen}
    signal = render(rng, sensor, events, round(job.seconds * job.sample_rate), job.sample_rate)
    pcm = np.round(32767 * signal).astype(np.int16)
    soundfile.write(job.folder / job.split / filename, pcm, job.sample_rate, subtype="PCM_16")
    return [
        row(job.split, job.sensor, filename, annotator, answer)
        for annotator, answer in answers.items()
    ]


@cache
def sensor_of(seed: int, number: int) -> Sensor:
    return sample_sensor(np.random.default_rng(np.random.SeedSequence((seed, SENSOR, number))))


@cache
def volunteers_of(seed: int) -> list[Volunteer]:
    return sample_volunteers(np.random.default_rng(np.random.SeedSequence((seed, POOL))))
