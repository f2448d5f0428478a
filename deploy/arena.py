"""One block of static memory for all buffers: those that are not alive together share places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Buffer(NamedTuple):
    """It is alive from the step `first` to the step `last`, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        return self.first <= other.last and other.first <= self.last


def arena(buffers: Sequence[Buffer]) -> tuple[list[int], int]:
    """The place of each buffer, and the size of the whole.

    The largest buffer comes first; each gets the lowest place where it overlaps none that is alive
    at the same time.

    Source: greedy by size, Pisarchyk & Lee, arXiv:2001.03288.
    """
    places = [0] * len(buffers)
    done: list[int] = []
    for number in sorted(range(len(buffers)), key=lambda n: -buffers[n].size):
        taken = sorted(
            (places[other], places[other] + buffers[other].size)
            for other in done
            if buffers[number].meets(buffers[other])
        )
        place = 0
        for start, end in taken:
            if place + buffers[number].size <= start:
                break
            place = max(place, end)
        places[number] = place
        done.append(number)
    return places, max((p + b.size for p, b in zip(places, buffers, strict=True)), default=0)
