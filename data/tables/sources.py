"""The files that a clip table was read from: training notices where they have changed since.

Compared by content: a file that was only touched is the same. Folders that are not on this machine
are not compared, nor the files in them, since training requires the features only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from config import UserError
from data.checksums import sha256_of, sha256_of_text


def fingerprints(paths: Iterable[Path]) -> dict[str, str]:
    """Path -> the SHA-256 of a file, that of the visible names in a folder, or "" for neither."""
    return {path.as_posix(): fingerprint(path) for path in paths}


def fingerprint(path: Path) -> str:
    if path.is_dir():
        return sha256_of_text("\0".join(sorted(n for n in os.listdir(path) if n[0] != ".")))
    return sha256_of(path) if path.exists() else ""


def check_unchanged(sources: Mapping[str, str], remedy: str) -> None:
    """Raises UserError that names the first file or folder that is not as it was."""
    for name, found in sources.items():
        path = Path(name)
        is_here = path.exists() or (path.suffix and path.parent.exists())  # or a removed file
        if is_here and fingerprint(path) != found:
            raise UserError(f"{name}: changed since the features were computed; {remedy}")
