"""Recordings that libsndfile cannot read, decoded by FFmpeg through PyAV, an optional package.

FFmpeg seeks to a packet, not to a sample, and a decoder that starts there lacks what precedes: a
segment is reached by decoding up to it.

A damaged or cut file is a fault. Nothing tells that a stream without a length (aac, amr, webm that
a browser records) ends too early, unless its last frame is cut.
"""

from __future__ import annotations

import os
import struct
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from av import AudioFrame
    from av.container import InputContainer

TOLERANCE_SECONDS = 0.1  # between the times of a container and its samples
DECLARED = ("mov", "matroska", "wv")  # FFmpeg has their duration from the header
STRICT = {"err_detect": "crccheck+explode"}  # a frame with a wrong checksum is an error
BLOCK = 2**17  # samples
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")  # the GUID of its header
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
SEVERAL = "it is several files, one after the other; separate them"


class Fault(Exception):
    """What is wrong with a recording."""


class Decoder:
    """The first audio stream of a file, with the samples that `ffmpeg -i` gives.

    Samples before the first of the recording (the encoder's delay) are dropped where the container
    counts them. Raises Fault.
    """

    def __init__(self, path: Path, demuxer: str) -> None:
        self.container = open_container(path, demuxer)
        self.parts = decoded(self.container, demuxer, path)
        first = next(self.parts, None)
        if first is None:
            raise Fault("it has no samples")
        self.rest, self.rate = first  # the rest: samples that are decoded, but not read
        self.position = 0  # samples that were read
        self.fault: Fault | None = None

    def read(self, count: int = sys.maxsize) -> np.ndarray:
        """The next samples, at most `count`: (n, channels) float32. None are left at the end.

        A fault is raised after the samples that precede it.
        """
        parts, there = [self.rest], len(self.rest)
        try:
            while there < count and not self.fault:
                samples, _ = next(self.parts)
                parts.append(samples)
                there += len(samples)
        except StopIteration:
            pass
        except Fault as fault:
            self.fault = fault
        if self.fault and not there:
            raise self.fault
        samples = np.concatenate(parts)
        samples, self.rest = samples[:count], samples[count:].copy()
        self.position += len(samples)
        return samples


def read_segment(
    path: Path, demuxer: str, start_seconds: float, seconds: float | None
) -> tuple[np.ndarray, int, int]:
    """The samples (n, channels) of a segment, their rate in Hz and the number of the first.

    None where the recording ends before; the number is then that of all its samples.
    """
    with decoder_before(path, demuxer, start_seconds) as decoder:
        start = round(start_seconds * decoder.rate)
        while decoder.position < start and len(decoder.read(min(BLOCK, start - decoder.position))):
            pass
        first = decoder.position
        count = sys.maxsize if seconds is None else max(1, round(seconds * decoder.rate))
        samples = decoder.read(count)
        if len(samples) < count and decoder.fault:
            raise decoder.fault
        return samples, decoder.rate, first


idle: dict[tuple[Any, ...], Decoder] = {}  # that of the last segment: the next may follow it


@contextmanager
def decoder_before(path: Path, demuxer: str, seconds: float) -> Iterator[Decoder]:
    """The decoder of the last segment where it has not passed `seconds`, or a new one."""
    stamp = path.stat()
    key = (os.getpid(), path, stamp.st_size, stamp.st_mtime_ns)
    decoder = idle.pop(key, None)
    if decoder is None or decoder.position > round(seconds * decoder.rate):
        decoder = Decoder(path, demuxer)
    yield decoder
    idle.clear()
    idle[key] = decoder


def open_container(path: Path, demuxer: str) -> InputContainer:
    import av

    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        if demuxer == "mov":
            check_boxes(path, data)
        if demuxer == "asf" and data.find(ASF, 1) > 0:
            raise Fault(SEVERAL)
    try:  # `file:`, or a name with a colon is an address
        container = av.open(f"file:{path}", format=demuxer, metadata_errors="replace")
    except av.FFmpegError as error:
        raise Fault(f"not readable as audio ({error.strerror})") from None
    if not container.streams.audio:
        raise Fault("it has no audio stream")
    if container.streams.audio[0].codec_context is None:
        raise Fault("FFmpeg has no decoder for its audio")
    return container


def check_boxes(path: Path, data: mmap) -> None:
    """Raises Fault for an MP4 file that is cut, and for several in one, of which FFmpeg reads one.

    Source: ISO/IEC 14496-12, 4.2.
    """
    place = starts = 0
    while place + 16 <= len(data):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        elif size == 0:  # the last, of any length
            size = len(data) - place
        if size < 8 or not kind.isalnum():
            gap = len(data) - place
            warnings.warn(f"{path}: {gap} bytes are no MP4 boxes, perhaps damaged", stacklevel=2)
            break
        place, starts = place + size, starts + (kind == b"ftyp")
    if place > len(data):
        raise Fault(f"cut short: {place} bytes are promised, {len(data)} are there")
    if starts > 1:
        raise Fault(SEVERAL)


def declared_seconds(container: InputContainer, demuxer: str, path: Path) -> float:
    """The length that the header has, or 0: FFmpeg estimates that of files without one.

    Source, of ASF: Advanced Systems Format (ASF) Specification, revision 01.20.05, 3.2.
    """
    import av

    if demuxer != "asf":
        return (container.duration or 0) / av.time_base if demuxer in DECLARED else 0.0
    with path.open("rb") as file:
        _, _, properties = file.read(2**16).partition(ASF_PROPERTIES)
    if len(properties) < 76:
        return 0.0
    duration, preroll, flags = struct.unpack_from("<Q8xQI", properties, 48)
    return 0.0 if flags & 1 else duration / 1e7 - preroll / 1e3  # 1: a broadcast


def decoded(
    container: InputContainer, demuxer: str, path: Path
) -> Iterator[tuple[np.ndarray, int]]:
    """The samples of each frame, (n, channels) float32, and their rate in Hz. Raises Fault."""
    import av

    stream = container.streams.audio[0]
    stream.codec_context.options = STRICT
    kind, done = None, 0
    end = reached = 0.0  # s: of the last frame, and of the last packet of any stream
    try:
        for packet in container.demux():
            if packet.stream.index != stream.index:
                if packet.pts is not None:
                    last = packet.pts + (packet.duration or 0)
                    reached = max(reached, float(last * packet.time_base))
                continue
            for frame in stream.decode(packet):
                found = len(frame.layout.channels), frame.sample_rate
                if kind not in (None, found):
                    kinds = sorted((kind, found))
                    raise Fault(f"it changes its channels or sample rate: {kinds}")
                if frame.time is not None:
                    if frame.time > end + TOLERANCE_SECONDS:
                        gap = f"from {end:.3f} to {frame.time:.3f} s"
                        warnings.warn(f"{path}: it has no samples {gap}", stacklevel=2)
                    end = frame.time + frame.samples / frame.sample_rate
                    reached = max(reached, end)
                kind, done = found, done + frame.samples
                yield samples_of(frame), frame.sample_rate
    except av.FFmpegError as error:
        seconds = done / kind[1] if kind else 0.0
        raise Fault(f"damaged at {seconds:.3f} s ({error.strerror})") from None
    declared = declared_seconds(container, demuxer, path)
    if reached < declared - TOLERANCE_SECONDS:
        raise Fault(f"cut short: {declared:.3f} s are promised, {reached:.3f} s are there")


def samples_of(frame: AudioFrame) -> np.ndarray:
    """(n, channels) float32 in [-1, 1]; integers as libsndfile scales them."""
    samples = frame.to_ndarray()
    samples = samples.T if frame.format.is_planar else samples.reshape(frame.samples, -1)
    if samples.dtype.kind != "f":
        samples = samples * 2.0 ** (1 - 8 * samples.itemsize) - (samples.dtype.kind == "u")
    return np.ascontiguousarray(samples, np.float32)
