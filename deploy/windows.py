"""A recording of any length -> windows of it, as each kind of hearing wants them.

One pass over blocks of samples: memory does not grow with the recording, and a window of a stream
is there as soon as its last sample is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from data.features.decode import QUALITY, mix
from deploy.student import Hearing

REST_SECONDS = 0.1  # a shorter rest of a recording is not worth a window of its own


class Window(NamedTuple):
    start: float  # s
    end: float  # s; the end of the recording, where that comes before the end of the window
    waveforms: dict[Hearing, np.ndarray]  # (C, S) float32, padded with silence


def windows(
    blocks: Iterable[tuple[np.ndarray, int]],
    hearings: Collection[Hearing],
    seconds: float,
    hop: float,
) -> Iterator[Window]:
    """Window k starts at k * hop; the last one is the first that reaches the end, or nearly.

    `blocks` are (samples, channels) float32 and their rate in Hz, one rate for all. What is heard
    is the recording resampled as a whole, then cut: the same, sample by sample, as in training.
    """
    ears = [Ear(hearing) for hearing in hearings]
    index = frames = 0
    for block, rate in blocks:
        frames += len(block)
        for ear in ears:
            ear.hear(block, rate)
        while all(ear.reaches(index * hop + seconds) for ear in ears):
            yield window(ears, index * hop, index * hop + seconds, seconds)
            index += 1
    for ear in ears:
        ear.hear(block[:0], rate, last=True)
    length, rest = frames / rate, min(REST_SECONDS, hop / 2)
    while index == 0 or length - ((index - 1) * hop + seconds) > rest:
        yield window(ears, index * hop, min(index * hop + seconds, length), seconds)
        index += 1


def window(ears: Collection[Ear], start: float, end: float, seconds: float) -> Window:
    return Window(start, end, {ear.hearing: ear.take(start, seconds) for ear in ears})


class Ear:
    """The stretch of a stream that is still wanted, mixed and resampled for one hearing."""

    def __init__(self, hearing: Hearing) -> None:
        self.hearing = hearing
        self.resampler = None
        self.held = np.empty((hearing.channels, 0), np.float32)
        self.first = 0  # the position in the stream of the first sample that is held

    def hear(self, block: np.ndarray, rate: int, last: bool = False) -> None:
        """`block` (samples, channels). After the last one soxr gives what it held back."""
        sample_rate, channels = self.hearing
        block = mix(block, channels)
        if rate != sample_rate:
            if self.resampler is None:
                import soxr

                self.resampler = soxr.ResampleStream(
                    rate, sample_rate, channels, dtype="float32", quality=QUALITY
                )
            block = self.resampler.resample_chunk(block, last)
        self.held = np.concatenate([self.held, block.T], axis=1)

    def reaches(self, seconds: float) -> bool:
        return self.first + self.held.shape[1] >= round(seconds * self.hearing.sample_rate)

    def take(self, start: float, seconds: float) -> np.ndarray:
        """The window at `start`, (C, S), padded with silence. What lies before it is forgotten."""
        begin = round(start * self.hearing.sample_rate)
        self.held = self.held[:, begin - self.first :]
        self.first = begin
        found = np.zeros(
            (self.hearing.channels, round(seconds * self.hearing.sample_rate)), np.float32
        )
        there = self.held[:, : found.shape[1]]
        found[:, : there.shape[1]] = there
        return found
