"""Progress over many clips: a bar on a terminal, two lines in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


@contextmanager
def progress(task: str, clips: int, *, shown: bool = True) -> Iterator[tqdm]:
    """A tqdm bar with the remaining time, on stderr.

    Where stderr is no terminal, one line at the start and one at the end: bars fill log files.
    """
    began, lines = time.perf_counter(), shown and not sys.stderr.isatty()
    if lines:
        print(f"{task}: {clips} clips", file=sys.stderr, flush=True)
    with tqdm(total=clips, desc=task, unit="clip", disable=None if shown else True) as bar:
        yield bar
    if lines:
        seconds = time.perf_counter() - began
        print(f"{task}: done in {seconds:.0f} s", file=sys.stderr, flush=True)
