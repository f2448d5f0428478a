"""The disk is full after any number of bytes: one clear line, and the next start goes on."""

from __future__ import annotations

import builtins
import errno
import io
import os
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import soundfile

from tests.deploy.stand_in import make_student
from tests.faults.kills import BEFORE, remove_students, run_again
from tests.faults.place import SCRIPTS, Lost, clear_line, copied, run, small_shards

BYTES = {"make_mel.py": 60_000, "train_teacher.py": 500_000, "train_student.py": 2_000_000}
FULL = {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded"}


def limit(free: int, number: int, at_fsync: bool) -> None:
    """Called in the process of a script: `free` bytes can be written, then it gets an OSError.

    `at_fsync`: some disks find that they are full only when the bytes go there.
    """
    small_shards()
    left, really_open, really_sync = free, io.open, os.fsync

    class Limited(io.FileIO):
        def write(self, content: Any) -> int:
            nonlocal left
            size = memoryview(content).nbytes
            fits = size if at_fsync else min(size, left)
            left -= size if at_fsync else fits
            if size and not fits:
                raise OSError(number, os.strerror(number))
            return super().write(memoryview(content).cast("B")[:fits])

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *others: Any,
        **further: Any,
    ) -> Any:
        if not set(mode) & set("wax+"):
            return really_open(file, mode, buffering, encoding, errors, newline, *others, **further)
        raw = Limited(file, mode.replace("b", "").replace("t", ""), *others, **further)
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline)

    def sync(descriptor: int) -> None:
        if at_fsync and left <= 0:
            raise OSError(number, os.strerror(number))
        really_sync(descriptor)

    io.open = builtins.open = opened  # type: ignore[assignment]
    os.fsync = sync  # type: ignore[assignment]


def trial(rng: Random, folder: Path, name: str, at_fsync: bool) -> None:
    place = copied(folder, *BEFORE.get(name, ("features", "runs")))
    if name == "train_student.py":
        remove_students(place)
    free = round(BYTES[name] ** rng.random()) if rng.random() < 0.5 else rng.randrange(BYTES[name])
    number = rng.choice([*FULL])
    ended = run(place, name, before=partial(limit, free, number, at_fsync))
    if ended.status:
        line = clear_line(ended, name)
        if not any(words in line for words in (*FULL.values(), "disk is full")):
            raise Lost(f"the line does not name the fault: {line}")
        if ended.status != 1:
            raise Lost(f"status {ended.status}: {line}")
    run_again(place, name)


def tagging(rng: Random, folder: Path) -> None:
    """tag_audio.py writes line by line: what it has written stays, and the next start is right."""
    made = (folder / "full.csv", folder / "whole.csv")
    make_student(folder / "student.onnx")
    soundfile.write(folder / "a.wav", np.linspace(0, 0.5, 100_000), 8000)
    tag = ("tag_audio.py", "student.onnx", "a.wav", "--format", "csv", "--output")
    number = rng.choice([*FULL])
    ended = run(
        folder, *tag, made[0].name, before=partial(limit, rng.randrange(900), number, False)
    )
    if ended.status != 1 or FULL[number] not in (line := clear_line(ended, tag[0])):
        raise Lost(f"status {ended.status}: {line}")
    if run(folder, *tag, made[1].name).status:
        raise Lost("it does not start again")
    whole = made[1].read_bytes()
    if made[0].exists() and not whole.startswith(made[0].read_bytes()):
        raise Lost("the lines before are others")


FAULTS = {
    f"full disk, at {where}, under `{name}`": partial(trial, name=name, at_fsync=at_fsync)
    for where, at_fsync in (("any byte", False), ("any fsync", True))
    for name in SCRIPTS
} | {"full disk, at any byte, under `tag_audio.py`": tagging}
