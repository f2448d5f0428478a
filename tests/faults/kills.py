"""A script is killed or asked to stop at any moment: started again, it ends with the same bits."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

from tests.faults.place import (
    SCRIPTS,
    Lost,
    Script,
    check_results,
    clear_line,
    copied,
    finished,
    no_page,
    run,
)

WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
MOST = {"make_mel.py": 90, "train_teacher.py": 60, "train_student.py": 130}  # changes of files
BEFORE = {"make_mel.py": (), "train_teacher.py": ("features",)}
MADE = {
    "make_mel.py": "features",
    "train_teacher.py": "runs/config/teacher",
    "train_student.py": "runs/config/student",
}
STOPPED = "stopped; start it again to resume"


def end_at(change: int, number: int) -> None:
    """Called in the process of a script: it gets a signal before the n-th change of a file."""
    no_page()
    left = change

    def hook(event: str, arguments: tuple) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE
        if writes or event in WRITES:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), number)

    sys.addaudithook(hook)


def trial(rng: Random, folder: Path, name: str, number: int, by_time: bool) -> None:
    place = copied(folder, *BEFORE.get(name, ("features", "runs")))
    if name == "train_student.py":
        remove_students(place)
    if by_time:
        script = Script(place, name)
        time.sleep(rng.uniform(0, finished().seconds[name]))
        with suppress(ProcessLookupError):  # it has ended
            os.kill(script.process.pid, number)
    else:
        script = Script(place, name, before=partial(end_at, rng.randint(1, MOST[name]), number))
    check_end(script, number)
    run_again(place, name)


def remove_students(place: Path) -> None:
    shutil.rmtree(place / "runs/config/student")
    (place / "runs/config/results.csv").unlink()


def check_end(script: Script, number: int) -> None:
    ended = script.ended()
    if "Traceback" in ended.printed:
        raise Lost(f"a traceback after signal {number}:\n{ended.printed[-3000:]}")
    early = ended.status == -number and not ended.printed  # before it handles the signal
    if number == signal.SIGKILL or early or ended.status == 0:
        return
    if ended.status != 143 or STOPPED not in clear_line(ended, script.name):
        raise Lost(f"status {ended.status} after SIGTERM:\n{ended.printed[-3000:]}")


def run_again(place: Path, name: str) -> None:
    ended = run(place, name)
    if ended.status:
        raise Lost(f"{name} cannot be resumed, status {ended.status}:\n{ended.printed[-3000:]}")
    students_make = "/outputs/" if name == "train_teacher.py" else "nothing"
    check_results(place, MADE[name], students_make)


FAULTS = {
    f"{signal_name} of `{name}` at {moment}": partial(
        trial, name=name, number=getattr(signal, signal_name), by_time=by_time
    )
    for signal_name in ("SIGKILL", "SIGTERM")
    for name in SCRIPTS
    for moment, by_time in (("any moment", True), ("any change of a file", False))
}
