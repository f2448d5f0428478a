"""A lock on a folder: two processes that write into it would destroy each other's files."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from io import TextIOWrapper
from multiprocessing.util import register_after_fork
from pathlib import Path

from config import UserError


class InUse(UserError):
    """Another process writes into the folder."""

    exit_status = 2


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else writes into `folder`, from any machine. Raises InUse that names who does.

    The lock is that of the hidden file beside it (flock): the system releases it when the process
    ends, however it ends. There is none on a system without flock or a disk without locks.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = folder.with_name(f".{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise InUse(f"{folder}: in use by {holder}; wait until it has ended") from None
            except OSError:  # a disk without locks
                path.unlink(missing_ok=True)
                yield
                return
            register_after_fork(file, TextIOWrapper.close)  # a worker does not hold it
            if not is_file(path, file.fileno()):  # removed by the holder before us
                continue
            file.truncate(0)
            file.write(f"{this_process()}\n")
            file.flush()
            try:
                yield
                return
            finally:
                path.unlink(missing_ok=True)
                fcntl.flock(file, fcntl.LOCK_UN)  # children may have inherited it


@contextmanager
def waiting(folder: Path, pause_seconds: float = 1.0) -> Iterator[None]:
    """`locked`, once the process that writes into the folder has ended."""
    while True:
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(folder))
            except InUse:
                time.sleep(pause_seconds)
                continue
            yield
            return


def in_use(folder: Path) -> bool:
    """Whether another process, or this one, has locked the folder."""
    try:
        with locked(folder):
            return False
    except InUse:
        return True


def is_file(path: Path, descriptor: int) -> bool:
    """Whether an open file is the one that has this name now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def this_process() -> str:
    now = datetime.now().astimezone()
    return f"process {os.getpid()} on {socket.gethostname()} since {now:%Y-%m-%d %H:%M:%S %z}"
