"""An ensemble of students: the mean of their probabilities for each window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from config import ConfigError, UserError
from deploy.windows import windows

if TYPE_CHECKING:
    from deploy.student import Student

NAMED = 5  # classes in an error, at most


def predict_windows(
    students: Sequence[Student],
    blocks: Iterable[tuple[np.ndarray, int]],
    seconds: float,
    hop: float,
) -> Iterator[tuple[float, float, np.ndarray]]:
    """(start, end, mean probabilities (K,)) of each window; `blocks` and times as in `windows`.

    One window at a time: on one core a batch is no faster, and a stream has no extra latency.
    """
    specs = {student.audio_spec for student in students}
    for start, end, waveforms in windows(blocks, specs, seconds, hop):
        predictions = [student.predict(waveforms[student.audio_spec]) for student in students]
        yield start, end, np.mean([p.probabilities for p in predictions], axis=0)


def check_agreement(students: Sequence[Student]) -> None:
    """Raises UserError for students whose tasks or classes differ."""
    first, *others = students
    for other in others:
        expected, found = first.description, other.description
        if found.task != expected.task:
            raise UserError(f"{other.path} is {found.task}, {first.path} is {expected.task}")
        if found.classes != expected.classes:
            differs = difference(expected.classes, found.classes)
            raise UserError(f"{other.path} has other classes than {first.path}: it {differs}")


def difference(expected: Sequence[str], found: Sequence[str]) -> str:
    lacks = [name for name in expected if name not in found]
    adds = [name for name in found if name not in expected]
    parts = [
        f"{verb} {', '.join(names[:NAMED])}{', …' * (len(names) > NAMED)}"
        for verb, names in (("lacks", lacks), ("adds", adds))
        if names
    ]
    return " and ".join(parts) or "has them in another order"


def window_and_hop(
    students: Sequence[Student], window: float | None, hop: float | None
) -> tuple[float, float]:
    """In seconds; by default the clip length of the first student, and a hop of one window.

    Raises ConfigError for a window that a student does not support, and for a hop that leaves gaps.
    """
    seconds = window or students[0].description.clip_seconds
    for student in students:
        length = student.description.clip_seconds
        if not student.description.any_length and length != seconds:
            found = f"found {seconds:g} s, but {student.path} takes only windows of {length:g} s"
            raise ConfigError("--window", found)
        if seconds < student.least_seconds:
            found = f"found {seconds:g} s, must be at least {student.least_seconds:g} s"
            raise ConfigError("--window", f"{found} for {student.path}")
    if hop and hop > seconds:
        raise ConfigError("--hop", f"found {hop:g} s, must be at most the window, {seconds:g} s")
    return seconds, hop or seconds
