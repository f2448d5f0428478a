"""Files that are no audio to libsndfile: what they are, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

CONVERT = "convert it, as by `ffmpeg -i {name} {stem}.flac`"
KINDS = {  # how a file begins -> what it is, and what to do
    rb".{4}ftyp": ("an MP4 file (m4a, mp4, 3gp)", CONVERT),
    rb"\x1aE\xdf\xa3": ("a Matroska file (webm, mkv)", CONVERT),
    rb"0&\xb2u\x8ef\xcf\x11": ("a Windows Media file (wma)", CONVERT),
    rb"#!AMR": ("an AMR file", CONVERT),
    rb"\xff[\xf0\xf1\xf8\xf9]": ("an AAC stream", CONVERT),
    rb"MAC ": ("a Monkey's Audio file (ape)", CONVERT),
    rb"wvpk": ("a WavPack file", CONVERT),
    rb"PK\x03\x04|\x1f\x8b": ("an archive", "unpack it"),
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
    with path.open("rb") as file:
        beginning = file.read(200).removeprefix(b"\xef\xbb\xbf")
    for pattern, (kind, advice) in KINDS.items():
        if re.match(pattern, beginning, re.DOTALL | re.IGNORECASE):
            return f"; it is {kind}: {advice.format(name=path.name, stem=path.stem)}"
    return ""
