"""What a file is by its first bytes; of what libsndfile does not read, what does or what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from data.features import mpeg

T = TypeVar("T")
ENDINGS = (".m4a", ".mp4", ".3gp", ".aac", ".webm", ".mka", ".wma", ".amr")
READ_BY_LIBSNDFILE = {  # how a file begins -> what it is
    rb"riff\x2e\x91\xcf\x11": "a W64 file",
    rb"RIF[FX]": "a WAV file",
    rb"RF64": "an RF64 file",
    rb"FORM": "an AIFF file",
    rb"fLaC": "a FLAC file",
    rb"OggS": "an Ogg file",
    rb"ID3": "an MP3 file",
    rb"caff": "a CAF file",
    rb"\.snd|dns\.": "an AU file",
}
AAC = rb"\xff[\xf0\xf1\xf8\xf9]"
DEMUXERS = {  # how a file begins -> what it is, and FFmpeg's name of what reads it
    rb"\0\0.{2}ftyp": ("an MP4 file (m4a, mp4, 3gp)", "mov"),
    rb"\x1aE\xdf\xa3": ("a Matroska file (webm, mkv)", "matroska"),
    rb"0&\xb2u\x8ef\xcf\x11": ("a Windows Media file (wma)", "asf"),
    rb"#!AMR": ("an AMR file", "amr"),
    AAC: ("an AAC stream", "aac"),
    rb"MAC ": ("a Monkey's Audio file (ape)", "ape"),
    rb"wvpk": ("a WavPack file", "wv"),
}
OTHERS = {  # how a file begins -> what it is, and what to do
    rb"PK\x03\x04|\x1f\x8b\x08": ("an archive", "unpack it"),
    rb"version https://git-lfs": (
        "a pointer of Git LFS",
        "run `git lfs pull`",
    ),
    rb"\s*<(!doctype html|html|\?xml|head)": (
        "a web page, such as that of a failed download",
        "download it again",
    ),
}


def hint(path: Path) -> str:
    """`; it is a … file: convert it …`, or nothing for an unknown kind."""
    if kind := kind_of(path, DEMUXERS):
        return (
            f"; it is {kind[0]}: convert it, as by `ffmpeg -i {path.name} {path.stem}.flac`, or "
            "`pip install -r requirements-av.txt`"
        )
    if kind := kind_of(path, OTHERS):
        return "; it is {}: {}".format(*kind)
    return ""


def demuxer_of(path: Path) -> str:
    """What FFmpeg reads this file with; empty without PyAV, and for what libsndfile may read."""
    kind = kind_of(path, DEMUXERS) if path.is_file() else None
    return kind[1] if kind and has_av() else ""


def has_av() -> bool:
    return find_spec("av") is not None


def decoders() -> tuple[str, bool]:
    """What decides which recordings can be read: the version of libsndfile, and PyAV or none."""
    import soundfile

    return soundfile.__libsndfile_version__, has_av()


def kind_of(path: Path, kinds: Mapping[bytes, T]) -> T | None:
    with path.open("rb") as file:
        return matching(file.read(200), kinds)


def matching(beginning: bytes, kinds: Mapping[bytes, T]) -> T | None:
    beginning = beginning.removeprefix(b"\xef\xbb\xbf")
    matches = (re.match(pattern, beginning, re.DOTALL | re.IGNORECASE) for pattern in kinds)
    return next((kind for kind, match in zip(kinds.values(), matches, strict=True) if match), None)


def file_kind(beginning: bytes) -> str:
    """What a file is that begins so; empty for what may be raw samples.

    These may begin as a frame of MPEG or AAC does, so that a second one has to follow it.
    """
    if mpeg.begins_with_frames(beginning):
        return "an MP3 file"
    if re.match(AAC, beginning) and not is_aac(beginning):
        return ""
    if kind := matching(beginning, READ_BY_LIBSNDFILE):
        return kind
    return (matching(beginning, DEMUXERS | OTHERS) or ("",))[0]


def is_aac(beginning: bytes) -> bool:
    """Whether the first frame declares a size after which another one begins."""
    size = int.from_bytes(beginning[3:6], "big") >> 5 & 0x1FFF
    return beginning[size : size + 2] == beginning[:2] and size > 0
