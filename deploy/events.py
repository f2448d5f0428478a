"""Events: the windows in a row that have a tag, of smoothed probabilities and a least duration."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np

from deploy.tags import Row, TagSelection

TOUCH_SECONDS = 1e-6  # a smaller gap between windows is a rounding error of their times


class Event(NamedTuple):
    start: float  # s
    end: float  # s
    name: str  # of the class


def events(rows: Iterable[Row], selection: TagSelection, least: float = 0.0) -> Iterator[Event]:
    """Of one recording, each yielded when it ends, without those shorter than `least` seconds."""
    since: dict[str, float] = {}
    until: dict[str, float] = {}

    def ended(names: list[str]) -> Iterator[Event]:
        found = [Event(since.pop(name), until.pop(name), name) for name in names]
        yield from (e for e in found if e.end - e.start >= least - TOUCH_SECONDS)

    for row in rows:
        yield from ended([name for name in since if row.start - until[name] > TOUCH_SECONDS])
        for name, _ in selection.tags(row.probabilities):
            since.setdefault(name, row.start)
            until[name] = row.end
    yield from ended([*since])


def smoothed(rows: Iterable[Row], windows: int) -> Iterator[Row]:
    """The median of each class over `windows` windows, an odd number, around each one.

    At the ends of a recording it is over the windows that are there. A row is delayed by half of
    the windows.
    """
    if windows == 1:
        yield from rows
        return
    for _, recording in groupby(rows, key=lambda row: row.recording):
        yield from smoothed_recording(recording, windows // 2)


def smoothed_recording(rows: Iterator[Row], half: int) -> Iterator[Row]:
    kept: deque[Row] = deque(maxlen=2 * half + 1)
    place = 0  # in `kept`, of the next row to yield
    for row in rows:
        place -= len(kept) == kept.maxlen
        kept.append(row)
        if place + half < len(kept):
            yield median(kept, place, half)
            place += 1
    while place < len(kept):
        yield median(kept, place, half)
        place += 1


def median(rows: deque[Row], place: int, half: int) -> Row:
    near = [rows[k].probabilities for k in range(len(rows)) if abs(k - place) <= half]
    return rows[place]._replace(probabilities=np.median(near, axis=0))
