"""A finished file is damaged: the next start names it and what to do, or makes it anew."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from tests.faults.kills import end_at
from tests.faults.place import (
    SCRIPTS,
    Ended,
    Lost,
    Script,
    check_results,
    clear_line,
    copied,
    files_of,
    run,
    succeed,
)

STUDENTS = "runs/config/student"
FILES = {
    "features": "features/**/*",
    "teacher": "runs/config/teacher/*/*/*",
    "outputs of the teacher": "runs/config/teacher/*/*/outputs/**/*",
    "students": f"{STUDENTS}/*/*/*/*",
    "files of the run": "runs/config/*",
    "checkpoints": "runs/config/**/checkpoint.pt",
}


def flip(rng: Random, content: bytearray) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def cut(rng: Random, content: bytearray) -> None:
    del content[rng.randrange(len(content)) :]


def empty(rng: Random, content: bytearray) -> None:
    content.clear()


def blank(rng: Random, content: bytearray) -> None:
    """As after a loss of power: the blocks of the file were never written."""
    start = rng.randrange(len(content))
    content[start:] = bytes(len(content) - start)


def insert(rng: Random, content: bytearray) -> None:
    place = rng.randrange(len(content) + 1)
    content[place:place] = rng.randbytes(rng.randint(1, 100))


DAMAGES = {"flipped": flip, "cut": cut, "emptied": empty, "blanked": blank, "lengthened": insert}
WAYS = (*DAMAGES, "deleted")


def damage(rng: Random, path: Path, way: str) -> None:
    """With the time that the file had: as on a failing disk."""
    if way == "deleted":
        path.unlink()
        return
    stamp, content = path.stat(), bytearray(path.read_bytes())
    if content:
        DAMAGES[way](rng, content)
    path.write_bytes(content)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def trial(rng: Random, folder: Path, kind: str, way: str) -> None:
    place = copied(folder, "features", "runs")
    if kind == "checkpoints":
        interrupt(rng, place)
    elif kind == "outputs of the teacher":
        shutil.rmtree(place / STUDENTS / "ce+kd")  # or nobody reads them
    elif rng.random() < 0.5:
        shutil.rmtree(place / STUDENTS / rng.choice(["ce", "ce+kd"]))
    known = set(files_of(place))
    paths = sorted(known.intersection(place.glob(FILES[kind])))
    if not paths:  # it was interrupted before its first checkpoint
        return
    path = rng.choice(paths)
    damage(rng, path, way)
    try:
        repair(rng, place, path)
        if kind == "features":
            succeed(place, SCRIPTS[0])  # training does not read all of them
        check_results(place, but="nothing" if kind == "outputs of the teacher" else "/outputs/")
    except Lost as lost:
        raise Lost(f"{path.relative_to(place)} was {way}: {lost}") from None


def interrupt(rng: Random, place: Path) -> None:
    """A training, after its first checkpoint."""
    name = rng.choice(SCRIPTS[1:])
    shutil.rmtree(place / "runs/config" / name.removeprefix("train_").removesuffix(".py"))
    for change in range(20, 200, 6):
        ended = Script(place, name, before=partial(end_at, change, 9)).ended()
        if ended.status == 0 or any(place.rglob("checkpoint.pt")):
            return


def repair(rng: Random, place: Path, path: Path) -> None:
    """Start the scripts, and follow their advice until all end well."""
    waiting, refusals = [*SCRIPTS[rng.randrange(3) :]], 0
    while waiting:
        ended = run(place, *waiting[0].split())
        if ended.status == 0:
            waiting.pop(0)
            continue
        refusals += 1
        if refusals > 6:
            raise Lost(f"the advice does not help: {ended.last_line}")
        waiting[:0] = follow(rng, place, ended, waiting[0], path)


def follow(rng: Random, place: Path, ended: Ended, command: str, path: Path) -> list[str]:
    """What the message of a script advises: the scripts to run first."""
    line = clear_line(ended, command.split()[0])
    near = [str(p.relative_to(place)) for p in (path, path.parent)]
    if not any(name in line for name in near):
        raise Lost(f"the message does not name it: {line}")
    if removed := re.search(r"remove (it|\S+) ", line):
        harmed = path if removed[1] == "it" else place / removed[1]
        if "--overwrite" in line and rng.random() < 0.3:
            return [f"{command} --overwrite"]
        shutil.rmtree(harmed) if harmed.is_dir() else harmed.unlink()
    found = re.search(r"run (make_mel|train_teacher)\.py", line)
    if not (removed or found):
        raise Lost(f"the message does not say what to do: {line}")
    return [f"{found[1]}.py"] if found else []


FAULTS: dict[str, Callable[[Random, Path], None]] = {
    f"{kind}: a file is {way}": partial(trial, kind=kind, way=way)
    for kind in FILES
    for way in WAYS
    if (kind, way) != ("checkpoints", "deleted")
}
