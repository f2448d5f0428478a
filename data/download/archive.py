"""A file of a public data set: its addresses, size and md5."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from config import UserError


@dataclass(frozen=True, slots=True)
class Archive:
    """A file of a public data set. A zip or a tar is unpacked, anything else is kept as it is."""

    name: str  # in the folder
    urls: tuple[str, ...]  # tried in turn
    size: int | None = None  # bytes
    md5: str | None = None
    md5_is_binding: bool = True  # False: its host repacks it; other bytes are only a warning

    def __post_init__(self) -> None:
        if not self.name or self.name.startswith(".") or re.search(r"[/\\]", self.name):
            raise UserError(f"{self.name!r} cannot name an archive: expected a plain file name")


def fault(archive: Archive, path: Path) -> str:
    """Why the file at `path` is wrong: its size or else its md5; "" where it is right."""
    found, expected = f"{path.stat().st_size} bytes", f"{archive.size} bytes"
    if archive.size is None or found == expected:
        if archive.md5 is None:
            return ""
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        found, expected = f"md5 {md5.hexdigest()}", f"md5 {archive.md5.lower()}"
    return "" if found == expected else f"found {found}, expected {expected}"


def bundles(archives: Sequence[Archive]) -> list[tuple[Archive, ...]]:
    """Groups of archives to unpack: the volumes of a split zip together, NAME.zip last."""
    names = {archive.name for archive in archives}
    together: dict[str, list[tuple[float, Archive]]] = {}
    for archive in archives:
        volume = re.fullmatch(r"(.+)\.z(\d\d+)", archive.name)
        if volume and f"{volume[1]}.zip" in names:
            together.setdefault(f"{volume[1]}.zip", []).append((int(volume[2]), archive))
        else:
            together.setdefault(archive.name, []).append((float("inf"), archive))
    return [
        tuple(archive for _, archive in sorted(numbered, key=lambda pair: pair[0]))
        for numbered in together.values()
    ]
