"""Two scripts at the same time: both end well, or one names the other; no file is harmed."""

from __future__ import annotations

import re
import shutil
import time
from functools import partial
from pathlib import Path
from random import Random

from tests.faults.kills import BEFORE
from tests.faults.place import SCRIPTS, Lost, Script, check_results, clear_line, copied, succeed

MAKE, TEACHER, STUDENT = SCRIPTS
PAIRS = (
    *((name, name) for name in SCRIPTS),
    *((MAKE, TEACHER), (TEACHER, STUDENT), (MAKE, STUDENT)),
)
REFUSED = re.compile(
    r"in use by process \d+ on \S+ since .*; wait until it has ended"
    r"|run (make_mel|train_teacher)\.py"
)


def trial(rng: Random, folder: Path, names: tuple[str, str]) -> None:
    place = copied(folder, *BEFORE.get(min(names, key=SCRIPTS.index), ("features", "runs")))
    if STUDENT in names and (place / "runs").exists():
        shutil.rmtree(place / "runs/config/student")
    scripts = []
    for name in rng.choice([names, names[::-1]]) + names[: rng.choice([0, 0, 1])]:
        scripts.append(Script(place, name))
        time.sleep(rng.choice([0, rng.uniform(0, 0.2), rng.uniform(0, 2)]))
    done = 0
    for script in scripts:
        ended = script.ended()
        if "Traceback" in ended.printed:
            raise Lost(f"{script.name} ends with a traceback:\n{ended.printed[-3000:]}")
        done += ended.status == 0
        if ended.status and not REFUSED.search(line := clear_line(ended, script.name)):
            raise Lost(f"status {ended.status}, which no other process explains: {line}")
    if not done:
        raise Lost("none of them ended well")
    succeed(place)
    check_results(place)


FAULTS = {
    f"`{first}` beside `{second}`": partial(trial, names=(first, second)) for first, second in PAIRS
}
