"""Recordings with changed bytes: decoded to their full length, or refused by name; never shorter.

A change that makes a valid header of another recording (its rate, channels or width) is beyond
this: formats without a checksum of the header cannot show it. Such a file need only be read without
another error.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from random import Random

import numpy as np
import soundfile

from data.features.decode import TOLERANCE_SECONDS, BadAudio, read, read_blocks
from tests.data.features.containers import encode
from tests.faults.place import Lost

RATE = 48_000
SECONDS = 1.5
MP4, MATROSKA, ASF = b"moov", b"\x1fC\xb6u", bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


def first(count: int, content: bytes) -> object:
    return content[:count]


def before(part: bytes, content: bytes) -> object:
    return content.partition(part)[0]


def after(part: bytes, content: bytes) -> object:
    return content.partition(part)[2]


def has_xing_header(content: bytes) -> object:
    """Without it nothing tells how many frames there were."""
    return b"Xing" in content or b"Info" in content


SOUNDFILE = {  # ending -> format and subtype, and what no checksum protects
    "wav": ("WAV", "PCM_16", partial(first, 44)),
    "float.wav": ("WAV", "FLOAT", partial(first, 80)),
    "aiff": ("AIFF", "PCM_16", partial(first, 54)),
    "flac": ("FLAC", "PCM_16", partial(first, 42)),
    "mp3": ("MP3", None, has_xing_header),
    "ogg": ("OGG", "VORBIS", partial(first, 0)),
    "opus": ("OGG", "OPUS", partial(first, 0)),
}
FFMPEG = {  # ending -> codec, its options, and what no checksum protects
    "m4a": ("aac", {}, partial(after, MP4)),
    "mka": ("flac", {}, partial(before, MATROSKA)),
    "webm": ("libopus", {}, partial(before, MATROSKA)),
    "wma": ("wmav2", {"b": "64000"}, partial(before, ASF)),
}
KINDS = {**SOUNDFILE, **FFMPEG}
LOSSLESS = ("wav", "float.wav", "aiff", "flac")


@lru_cache
def encoded(kind: str, seed: int) -> bytes:
    generator = np.random.default_rng(seed)
    samples = generator.uniform(-0.5, 0.5, (round(SECONDS * RATE), 1 + seed % 2))
    if kind in FFMPEG:
        codec, options, _ = FFMPEG[kind]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"a.{kind}"
            return encode(path, codec, samples, RATE, codec_options=options).read_bytes()
    container, subtype, _ = SOUNDFILE[kind]
    how = {"bitrate_mode": "VARIABLE"} if kind == "mp3" and seed % 3 == 0 else {}
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=container, subtype=subtype, **how)
    return file.getvalue()


def flip(rng: Random, content: bytearray) -> None:
    for _ in range(rng.choice([1, 1, 1, 3, 20])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def cut(rng: Random, content: bytearray) -> None:
    del content[rng.randrange(1, len(content)) :]


def cut_out(rng: Random, content: bytearray) -> None:
    start = rng.randrange(len(content) - 1)
    del content[start : start + rng.randint(1, len(content) // 2)]


def insert(rng: Random, content: bytearray) -> None:
    place = rng.randrange(len(content))
    content[place:place] = rng.randbytes(rng.choice([1, 7, 100, 5000]))


def blank(rng: Random, content: bytearray) -> None:
    start = rng.randrange(len(content) - 1)
    end = min(len(content), start + rng.randint(1, len(content) // 2))
    content[start:end] = bytes(end - start)


WAYS = {
    "flipped": flip,
    "cut": cut,
    "cut out": cut_out,
    "inserted": insert,
    "blanked": blank,
}


def trial(rng: Random, folder: Path, kind: str, way: str) -> None:
    seed, path = rng.randrange(6), folder / f"changed.{kind}"
    whole = encoded(kind, seed)
    content = bytearray(whole)
    WAYS[way](rng, content)
    path.write_bytes(content)
    unprotected = KINDS[kind][2]
    other_header = unprotected(bytes(content)) != unprotected(whole)
    at_once, warned = attempt(partial(read_whole, path))
    in_blocks, _ = attempt(partial(read_in_blocks, path))
    if (at_once is None) != (in_blocks is None):
        raise Lost(f"{way}: read at once {shown(at_once)}, in blocks {shown(in_blocks)}")
    if at_once is None or warned or other_header:
        return
    if abs(len(at_once) - len(in_blocks)) > TOLERANCE_SECONDS * RATE:
        raise Lost(f"{way}: read at once {shown(at_once)}, in blocks {shown(in_blocks)}")
    shortest = SECONDS - (0 if kind in LOSSLESS else TOLERANCE_SECONDS)
    if len(at_once) < shortest * RATE:
        raise Lost(f"{way}: {shown(at_once)} of {SECONDS} s, without a word")


def attempt(reading: Callable[[], np.ndarray]) -> tuple[np.ndarray | None, bool]:
    """The samples, None where they are refused, and whether there was a warning."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            samples = reading()
        except BadAudio as error:
            if not str(error).partition(": ")[2] or "\n" in str(error):
                raise Lost(f"no clear line: {error}") from None
            return None, True
    if not np.isfinite(samples).all():
        raise Lost("samples that are not finite")
    return samples, bool(warned)


def read_whole(path: Path) -> np.ndarray:
    return read(path)[0]


def read_in_blocks(path: Path) -> np.ndarray:
    blocks = [block for block, _ in read_blocks(path, 5000)]
    return np.concatenate(blocks) if blocks else np.empty((0, 1))


def shown(samples: np.ndarray | None) -> str:
    return "refused" if samples is None else f"{len(samples) / RATE:.3f} s"


FAULTS = {
    f"a {kind} file with bytes {way}": partial(trial, kind=kind, way=way)
    for kind in KINDS
    for way in WAYS
}
