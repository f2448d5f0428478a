"""A recording of any length -> windows of it, at the sample rate and channels of each model.

One pass over blocks of samples: memory does not grow with the recording, and a window of a stream
is available as soon as its last sample is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from data.features.decode import QUALITY, mix

if TYPE_CHECKING:
    import soxr

REST_SECONDS = 0.1  # a shorter rest of a recording gets no window


class AudioSpec(NamedTuple):
    """The format of a model's input."""

    sample_rate: int  # Hz
    channels: int


class Window(NamedTuple):
    start: float  # s
    end: float  # s; at most the end of the recording
    waveforms: dict[AudioSpec, np.ndarray]  # (C, S) float32, padded with silence


def windows(
    blocks: Iterable[tuple[np.ndarray, int]],
    specs: Collection[AudioSpec],
    seconds: float,
    hop: float,
) -> Iterator[Window]:
    """Window k starts at k * hop; the last one is the first that reaches the end, or nearly.

    `blocks` are (samples, channels) float32 and their rate in Hz, one rate for all. Windows are cut
    from the resampled recording: sample by sample the same as in training.
    """
    streams = [ResamplingStream(spec) for spec in specs]
    index = frames = 0
    for block, rate in blocks:
        frames += len(block)
        for stream in streams:
            stream.push(block, rate)
        while all(stream.has(index * hop, seconds) for stream in streams):
            yield window(streams, index * hop, index * hop + seconds, seconds)
            index += 1
    for stream in streams:
        stream.push(block[:0], rate, last=True)
    length, rest = frames / rate, min(REST_SECONDS, hop / 2)
    while index == 0 or length - ((index - 1) * hop + seconds) > rest:
        yield window(streams, index * hop, min(index * hop + seconds, length), seconds)
        index += 1


def window(
    streams: Collection[ResamplingStream], start: float, end: float, seconds: float
) -> Window:
    return Window(start, end, {stream.spec: stream.take(start, seconds) for stream in streams})


class ResamplingStream:
    """A buffer of mixed and resampled samples, from the start of the next window on."""

    def __init__(self, spec: AudioSpec) -> None:
        self.spec = spec
        self.resampler: soxr.ResampleStream | None = None
        self.buffer = np.empty((spec.channels, 0), np.float32)
        self.first = 0  # position of the first buffered sample in the stream

    def push(self, block: np.ndarray, rate: int, last: bool = False) -> None:
        """`block` (samples, channels). With `last`, soxr flushes its delayed samples."""
        sample_rate, channels = self.spec
        block = mix(block, channels)
        if rate != sample_rate:
            if self.resampler is None:
                import soxr

                self.resampler = soxr.ResampleStream(
                    rate, sample_rate, channels, dtype="float32", quality=QUALITY
                )
            block = self.resampler.resample_chunk(block, last)
        self.buffer = np.concatenate([self.buffer, block.T], axis=1)

    def has(self, start: float, seconds: float) -> bool:
        """Whether the window at `start` is complete."""
        begin, count = self.positions(start, seconds)
        return self.first + self.buffer.shape[1] >= begin + count

    def take(self, start: float, seconds: float) -> np.ndarray:
        """The window at `start`, (C, S), padded with silence. Earlier samples are dropped."""
        begin, count = self.positions(start, seconds)
        self.buffer = self.buffer[:, begin - self.first :]
        self.first = begin
        found = np.zeros((self.spec.channels, count), np.float32)
        there = self.buffer[:, :count]
        found[:, : there.shape[1]] = there
        return found

    def positions(self, start: float, seconds: float) -> tuple[int, int]:
        """The first sample of a window in the stream, and how many it has."""
        return round(start * self.spec.sample_rate), round(seconds * self.spec.sample_rate)
