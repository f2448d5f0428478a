"""Random faults against the scripts: a few trials in the tests, many by `make torture`.

A fault is a function of a random generator and an empty folder, which raises Lost.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.faults import audio, damage, full_disk, fuzz, hostile, kills, races

Fault = Callable[[Random, Path], None]
FAULTS: dict[str, Fault] = {
    name: fault
    for kind in (kills, full_disk, damage, races, hostile, fuzz, audio)
    for name, fault in kind.FAULTS.items()
}
QUICK = [
    *audio.FAULTS,
    *(name for name, fault in fuzz.FAULTS.items() if not fault.keywords.get("run_it")),
    *(name for name, fault in hostile.FAULTS.items() if fault in (hostile.table, hostile.header)),
]
"""Faults whose trials start no script."""
