"""Disk space: checked before the work, and a clear error where it runs out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config import UserError
from data.atomic_write import DISK_FULL


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def in_words(size: int) -> str:
    """13300000000 -> "13.3 GB"; decimal units, as the hosts of the data sets state them."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def need_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise UserError, with both figures, where fewer than `needed` bytes are free."""
    free = free_bytes(folder)
    if needed > free:
        raise UserError(
            f"{folder}: {purpose} needs about {in_words(needed)}, and {in_words(free)} are free; "
            "free some space, or set [data] ROOT to a folder on a larger disk"
        )


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the OSError of a full or read-only disk into a UserError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise UserError(
                f"{path}: the disk is full ({in_words(free_bytes(path.parent))} free); "
                "free some space and start again: what is complete is kept"
            ) from None
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
