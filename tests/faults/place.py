"""A small finished experiment to harm, the scripts in forked processes, and what has to stay equal.

A trial raises Lost where a fault gave a wrong result, a traceback or a message that does not help.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pandas as pd
import soundfile

from tests.scripts import start_a_fork

SCRIPTS = ("make_mel.py", "train_teacher.py", "train_student.py")
RATE = 8000
CLIPS = {"train": 8, "validate": 4, "test": 4}
LONGEST_SECONDS = 120.0  # of a script, also on a busy machine: a later end is a hang
CONFIG = """
[data]
DATASET = csv_folder
ROOT = recordings
CLIP_SECONDS = 0.25
TASK = single_label
[mel]
SAMPLE_RATE = 8000
MEL_MAX_HZ = 4000
NUM_BANDS_TEACHER = 16
NUM_BANDS_STUDENT = 12
[teacher]
MODEL = dcase_small
WIDTH_MULT = 0.25
EPOCHS = 2
LEARNING_RATE = 0.003
[student]
MODEL = dcase_small
WIDTH_MULT = 0.25
EPOCHS = 2
LEARNING_RATE = 0.003
[distillation]
VARIANTS = ce, ce+kd
[run]
DEVICE = cpu
WORKERS = 1
"""


class Lost(AssertionError):
    """What a fault broke."""


class Ended(NamedTuple):
    status: int  # negative: the signal that ended it
    printed: str

    @property
    def last_line(self) -> str:
        return self.printed.strip().rpartition("\n")[2]


def small_shards() -> None:
    """Called in the process of a script: a cache has several shards."""
    from data.features import cache_writer

    cache_writer.SHARD_BYTES = 4000


def no_page() -> None:
    """Called in the process of a script: also without the page of the run, which takes longest."""
    import report.page

    small_shards()
    report.page.write_page = lambda *_: "none"  # type: ignore[assignment]


class Script:
    """A script of Soundstill that runs in a process of its own, in the folder `place`."""

    def __init__(
        self, place: Path, name: str, *arguments: str, before: Callable[[], None] = no_page
    ) -> None:
        self.name = name
        self.files: list[IO[str]] = [
            tempfile.TemporaryFile("w+")  # noqa: SIM115  # `read` closes it
            for _ in range(2)
        ]
        self.process = start_a_fork(place, name, arguments, *self.files, before)

    def ended(self) -> Ended:
        self.process.join(LONGEST_SECONDS)
        if (status := self.process.exitcode) is None:
            self.process.kill()
            self.process.join()
            raise Lost(f"{self.name} hangs:\n{self.read()}")
        return Ended(status, self.read())

    def read(self) -> str:
        texts = []
        for file in self.files:
            file.seek(0)
            texts.append(file.read())
            file.close()
        return "".join(texts)


def run(place: Path, name: str, *arguments: str, before: Callable[[], None] = no_page) -> Ended:
    """A script, which may not end with a traceback."""
    ended = Script(place, name, *arguments, before=before).ended()
    if "Traceback" in ended.printed:
        raise Lost(f"{name} ends with a traceback:\n{ended.printed[-3000:]}")
    return ended


def succeed(place: Path, *names: str) -> None:
    """Run scripts that have to end well."""
    for name in names or SCRIPTS:
        ended = run(place, name)
        if ended.status:
            raise Lost(f"{name} ends with status {ended.status}:\n{ended.printed[-3000:]}")


def record(place: Path) -> None:
    """Recordings of two classes, and the configuration."""
    (place / "recordings").mkdir(parents=True)
    generator, lines = np.random.default_rng(0), ["filename,label,split"]
    at = np.arange(RATE // 4) / RATE
    for split, count in CLIPS.items():
        for n in range(count):
            pitch = (300, 2500)[n % 2] * generator.uniform(0.9, 1.1)
            noise = 0.1 * generator.standard_normal(len(at))
            soundfile.write(
                place / "recordings" / f"{split}_{n}.wav",
                0.3 * np.sin(2 * np.pi * pitch * at) + noise,
                RATE,
            )
            lines.append(f"{split}_{n}.wav,{('low', 'high')[n % 2]},{split}")
    (place / "recordings/clips.csv").write_text("\n".join(lines) + "\n")
    (place / "config.ini").write_text(CONFIG)


class Finished(NamedTuple):
    """An experiment that nothing interrupted, and the seconds that its scripts took."""

    place: Path
    results: Mapping[str, bytes]
    seconds: Mapping[str, float]


@lru_cache
def finished() -> Finished:
    keeper = tempfile.TemporaryDirectory(prefix="faults_")
    finished.keeper = keeper  # type: ignore[attr-defined]  # removed at the end of the process
    place, seconds = Path(keeper.name) / "whole", {}
    record(place)
    run(place, SCRIPTS[0], "--help")  # which starts the server that forks
    for name in SCRIPTS:
        began = time.monotonic()
        ended = run(place, name)
        if ended.status:
            raise Lost(f"{name} without any fault:\n{ended.printed}")
        seconds[name] = time.monotonic() - began
    return Finished(place, results(place), seconds)


def copied(folder: Path, *parts: str) -> Path:
    """The recordings, the configuration and `parts` of the finished experiment, to harm them."""
    whole = finished().place
    for part in ("recordings", *parts):
        shutil.copytree(whole / part, folder / part)
    shutil.copy2(whole / "config.ini", folder)
    return folder


EXACT = ("weights.safetensors", "predictions.csv")
TIMED = ("history.csv", "results.csv")  # have a column of seconds


def results(place: Path) -> dict[str, bytes]:
    """All that two runs of the same experiment have in common, to the byte."""
    found = {}
    for path in files_of(place / "features", place / "runs"):
        name = str(path.relative_to(place))
        if name.startswith("features") or path.name in EXACT or "/outputs/" in name:
            found[name] = path.read_bytes()
        elif path.name in TIMED:
            found[name] = without_seconds(path)
    return found


def without_seconds(path: Path) -> bytes:
    table = pd.read_csv(path)
    return table.drop(columns="seconds").to_csv(index=False).encode()


def files_of(*folders: Path) -> Iterator[Path]:
    """All that are not hidden: temporary files and locks are."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path


def check_results(place: Path, top: str = "", but: str = "nothing") -> None:
    """The results, or those below `top`, `but` those of that name, are those without the fault;
    nothing temporary is left.
    """
    found, expected = results(place), finished().results
    differing = sorted(
        name
        for name in found.keys() | expected.keys()
        if name.startswith(top) and but not in name and found.get(name) != expected.get(name)
    )
    if differing:
        raise Lost(f"other results than without the fault: {', '.join(differing)}")
    tops = [place / top] if top else [place / "features", place / "runs"]
    hidden = [path for one in tops for path in one.rglob(".*") if path.is_file()]
    if hidden:
        raise Lost(f"left behind: {', '.join(str(p.relative_to(place)) for p in hidden)}")


def clear_line(ended: Ended, script: str) -> str:
    """The message of a script that refused or stopped: one paragraph, with the script's name."""
    found = re.findall(rf"^{re.escape(Path(script).name)}: .*", ended.printed, re.MULTILINE)
    if len(found) != 1:
        raise Lost(f"status {ended.status} without one clear line:\n{ended.printed[-3000:]}")
    return found[0]
