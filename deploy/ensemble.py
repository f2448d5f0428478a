"""Several students that hear the same windows and speak with one voice: their mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from config import ConfigError, UserError
from deploy.student import Student
from deploy.windows import windows

NAMED = 5  # classes in an error, at most


def listen(
    students: Sequence[Student],
    blocks: Iterable[tuple[np.ndarray, int]],
    seconds: float,
    hop: float,
) -> Iterator[tuple[float, float, np.ndarray]]:
    """(start, end, mean probabilities (K,)) of each window; `blocks` and times as of `windows`.

    One window at a time: on one core a batch is no faster, and a stream is not kept waiting.
    """
    hearings = {student.hearing for student in students}
    for start, end, waveforms in windows(blocks, hearings, seconds, hop):
        said = [student.hear(waveforms[student.hearing]).probabilities for student in students]
        yield start, end, np.mean(said, axis=0)


def check_agreement(students: Sequence[Student]) -> None:
    """The mean makes sense where all say the same classes. Raises UserError."""
    first, *others = students
    for other in others:
        mine, its = first.description, other.description
        if its.task != mine.task:
            raise UserError(f"{other.path} is {its.task}, {first.path} is {mine.task}")
        if its.classes != mine.classes:
            differs = difference(mine.classes, its.classes)
            raise UserError(f"{other.path} has not the classes of {first.path}: it {differs}")


def difference(mine: Sequence[str], its: Sequence[str]) -> str:
    lacks = [name for name in mine if name not in its]
    adds = [name for name in its if name not in mine]
    parts = [
        f"{verb} {', '.join(names[:NAMED])}{', …' * (len(names) > NAMED)}"
        for verb, names in (("lacks", lacks), ("adds", adds))
        if names
    ]
    return " and ".join(parts) or "has them in another order"


def window_and_hop(
    students: Sequence[Student], window: float | None, hop: float | None
) -> tuple[float, float]:
    """In seconds; unless given, the window is the first student's clip, the hop the window.

    Raises ConfigError for what not all of them can hear, or would leave gaps.
    """
    seconds = window or students[0].description.clip_seconds
    for student in students:
        own = student.description.clip_seconds
        if not student.description.any_length and own != seconds:
            found = f"found {seconds:g} s, but {student.path} hears windows of {own:g} s alone"
            raise ConfigError("--window", found)
    if hop and hop > seconds:
        raise ConfigError("--hop", f"found {hop:g} s, want at most the window, {seconds:g} s")
    return seconds, hop or seconds
