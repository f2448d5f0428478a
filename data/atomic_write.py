"""Write files atomically: complete and on disk, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets this name when complete: readers find the old or the new one.

    Raises OSError that names the file, also for a full disk.
    """
    part = unfinished(path, os.getpid())
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def unfinished(path: Path, pid: int) -> Path:
    """The temporary file of a process; a killed process leaves it behind."""
    return path.with_name(f".{path.name}.{pid}")


def clear(folder: Path) -> None:
    """Remove the temporary files of killed processes, from a folder that none is writing to."""
    for leftover in folder.glob(".*"):
        leftover.unlink()


def write(path: Path, content: bytes | str) -> None:
    """Text is written as UTF-8."""
    with atomic_write(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)
