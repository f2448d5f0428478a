"""A recording, or a segment of one -> samples at the rate and channel count of a front end.

soundfile and soxr are imported by the functions that call them: training needs neither.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from config import UserError
from data.features import ffmpeg
from data.features.containers import demuxer_of, hint
from data.features.similar_names import absent
from data.features.streams import is_concatenated, streams_of

if TYPE_CHECKING:
    from soundfile import SoundFile

READABLE = (
    *(".wav", ".wave", ".bwf", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
    *(".aif", ".aiff", ".aifc", ".au", ".snd", ".caf"),
)
UNKNOWN_LENGTH = 0x7FFF_0000  # bytes; writers into a pipe declare this much or more
QUALITY = "HQ"  # of soxr
TOLERANCE_SECONDS = 0.1  # encoders of MPEG files differ in the frames that they count


class BadAudio(UserError):
    """A recording that cannot be used, with the `reason` (without the path)."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self) -> tuple[type, tuple[Path | str, str]]:
        return type(self), (self.path, self.reason)


def decode(
    path: Path,
    sample_rate: int,
    channels: int = 1,
    start_seconds: float = 0.0,
    seconds: float | None = None,
) -> np.ndarray:
    """The samples of a recording from `start_seconds` on, at most `seconds` of them, in [-1, 1].

    Any rate, width, channel count and format that libsndfile reads or, where PyAV is installed, of
    the containers that FFmpeg reads. The segment is read first, then mixed, then resampled; a
    shorter recording gives fewer samples. Raises BadAudio.
    Shapes: -> (channels, samples) float32.
    """
    samples, rate = read(path, start_seconds, seconds)
    return convert(samples, rate, sample_rate, channels)


def read(
    path: Path, start_seconds: float = 0.0, seconds: float | None = None
) -> tuple[np.ndarray, int]:
    """As `decode`, at the recording's own rate and channel count: (samples, channels) and Hz.

    Raises BadAudio for a file that is missing, empty or not audio, that has fewer samples than its
    header declares (an Ogg stream declares none, see `streams_of`), that ends before
    `start_seconds`, that changes its rate or channels, or has samples which are not finite.
    """
    if demuxer := demuxer_of(path):
        with faults_named(path):
            samples, rate, first = ffmpeg.read_segment(path, demuxer, start_seconds, seconds)
        if not len(samples):
            raise beyond_end(path, start_seconds, first / rate)
    else:
        samples, rate = read_by_libsndfile(path, start_seconds, seconds)
    finite = np.isfinite(samples)
    if not finite.all():
        first = round(start_seconds * rate) + finite.all(axis=1).argmin()
        raise not_finite(path, first / rate)
    return samples, rate


def read_by_libsndfile(
    path: Path, start_seconds: float, seconds: float | None
) -> tuple[np.ndarray, int]:
    with opened(path) as files:
        rate, total = files[0].samplerate, sum(file.frames for file in files)
        start = skipped = round(start_seconds * rate)
        if start >= total:
            raise beyond_end(path, start_seconds, total / rate)
        left = total - start
        if seconds is not None:
            left = min(left, max(1, round(seconds * rate)))
        parts = []
        for file in files:
            count = min(left, file.frames - skipped)
            if count > 0:
                if skipped:
                    file.seek(skipped)
                parts.append(file.read(count, dtype="float32", always_2d=True))
                check_length(path, len(parts[-1]), count, rate)
                left -= count
            skipped = max(0, skipped - file.frames)
        return np.concatenate(parts) if len(parts) > 1 else parts[0], rate


def read_concatenated(paths: Sequence[Path]) -> tuple[np.ndarray, int]:
    """As `read`, a recording that is stored in several files, one after the other."""
    parts = [read(path) for path in paths]
    kinds = [(samples.shape[1], rate) for samples, rate in parts]
    for path, kind in zip(paths, kinds, strict=True):
        if kind != kinds[0]:
            raise BadAudio(
                path,
                "{}: expected {} channels at {} Hz, as {}, found {} at {} Hz".format(
                    path.name, *kinds[0], paths[0].name, *kind
                ),
            )
    return np.concatenate([samples for samples, _ in parts]), kinds[0][1]


def read_blocks(path: Path, frames: int = 2**17) -> Iterator[tuple[np.ndarray, int]]:
    """As `read`, a full recording in blocks of at most `frames`, however long it is."""
    if demuxer := demuxer_of(path):
        with faults_named(path):
            decoder, done = ffmpeg.Decoder(path, demuxer), 0
            while len(block := decoder.read(frames)):
                yield from up_to_fault(path, block, decoder.rate, done)
                done += len(block)
        return
    with opened(path) as files:
        rate, done = files[0].samplerate, 0
        for file in files:
            # soundfile seeks to its own position after each read, where it can: an MPEG decoder
            # then loses the state that it needs for the next frames.
            file.seekable = lambda: False
            left = file.frames  # other bytes may follow them
            while left and len(block := file.read(min(frames, left), "float32", always_2d=True)):
                yield from up_to_fault(path, block, rate, done)
                left, done = left - len(block), done + len(block)
            check_length(path, file.frames - left, file.frames, rate)


@contextmanager
def opened(path: Path) -> Iterator[list[SoundFile]]:
    """The streams of a recording, all of one kind, opened by libsndfile, whose errors become
    BadAudio.
    """
    import soundfile

    if not path.is_file():
        raise BadAudio(path, absent(path))
    if path.stat().st_size == 0:
        raise BadAudio(path, "the file is empty (0 bytes)")
    try:
        with ExitStack() as stack:
            # soundfile encodes a str strictly, but a name may be no UTF-8
            name = os.fsencode(path) if os.name == "posix" else path
            files = [stack.enter_context(soundfile.SoundFile(name))]
            if is_concatenated(path, kind := files[0].format):
                raise BadAudio(path, ffmpeg.SEVERAL)
            if streams := [io.BytesIO(stream) for stream in streams_of(path, kind)]:
                files = [stack.enter_context(soundfile.SoundFile(stream)) for stream in streams]
            kinds = {(file.channels, file.samplerate) for file in files}
            if len(kinds) > 1:
                raise BadAudio(path, f"it changes its channels or sample rate: {sorted(kinds)}")
            for file in files:
                check_header(path, file.extra_info)
            if not any(file.frames for file in files):
                raise BadAudio(path, "it has no samples")
            yield files
    except soundfile.LibsndfileError as error:
        reason = f"not readable as audio ({error.error_string}){hint(path)}"
        raise BadAudio(path, reason) from None
    except MemoryError:
        raise BadAudio(path, "its header promises more samples than the memory holds") from None


@contextmanager
def faults_named(path: Path) -> Iterator[None]:
    """Faults that FFmpeg finds become BadAudio."""
    try:
        yield
    except ffmpeg.Fault as fault:
        raise BadAudio(path, str(fault)) from None


def check_header(path: Path, log: str) -> None:
    """libsndfile reads a truncated WAV, RF64, W64, AIFF or AU file without error; only its log has
    a note.
    """
    sizes = "data|Riff size|riff|SSND|Data Size"
    for line in re.finditer(rf"^\s*(?:{sizes})\s*:\s*(\d+) \(should be (\d+)\)", log, re.M):
        promised, there = map(int, line.groups())
        if there < promised < UNKNOWN_LENGTH:
            raise cut_short(path, promised, there)


def cut_short(path: Path | str, promised: int, there: int) -> BadAudio:
    found = f"the header promises {promised} bytes, {there} are there"
    return BadAudio(path, f"cut short: {found}")


def beyond_end(path: Path, start_seconds: float, end: float) -> BadAudio:
    found = f"the clip starts at {start_seconds:g} s, the recording ends at {end:g} s"
    return BadAudio(path, found)


def not_finite(path: Path | str, seconds: float) -> BadAudio:
    found = f"it has samples that are NaN or infinite, the first at {seconds:.3f} s"
    return BadAudio(path, found)


def check_length(path: Path, there: int, promised: int, rate: int) -> None:
    if there < promised - TOLERANCE_SECONDS * rate:
        raise BadAudio(
            path,
            f"cut short: {promised / rate:.3f} s are promised, {there / rate:.3f} s are there",
        )


def up_to_fault(
    path: Path | str, block: np.ndarray, rate: int, before: int = 0
) -> Iterator[tuple[np.ndarray, int]]:
    """A block and its rate; where a sample is not finite, the samples before it, then BadAudio.

    `before`: samples of the recording before the block.
    """
    finite = np.isfinite(block)
    if finite.all():
        yield block, rate
        return
    good = finite.all(axis=1).argmin()
    if good:
        yield block[:good], rate
    raise not_finite(path, (before + good) / rate)


def convert(samples: np.ndarray, rate: int, sample_rate: int, channels: int) -> np.ndarray:
    """Mix (see `mix`) and resample.

    soxr resamples at its quality HQ (20-bit precision, linear phase).
    Shapes: (n, any) -> (channels, n * sample_rate / rate) float32.
    """
    samples = mix(samples, channels)
    if rate != sample_rate:
        import soxr

        samples = soxr.resample(samples, rate, sample_rate, quality=QUALITY)
    return np.ascontiguousarray(samples.T)


def mix(samples: np.ndarray, channels: int) -> np.ndarray:
    """Mono is the mean of all channels; stereo the first two, or the only one twice.

    Shapes: (n, any) -> (n, channels).
    """
    if channels == 1:
        return samples.mean(axis=1, keepdims=True) if samples.shape[1] > 1 else samples
    return samples[:, :channels] if samples.shape[1] > 1 else samples.repeat(channels, axis=1)
