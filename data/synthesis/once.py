"""Synthesise a data set once, on all cores and atomically."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from config import UserError
from data.progress import progress

UNFINISHED = ".unfinished"
Job = TypeVar("Job")
Result = TypeVar("Result")


def make_once(name: str, root: Path, entries: Sequence[str], make: Callable[[Path], None]) -> None:
    """Bring `entries`, files and folders that `make` writes into a folder, into `root`.

    They are written to a hidden folder first and then moved, the last entry last: where that
    exists, nothing is done. A call after an interruption starts again or, where only the moving was
    interrupted, resumes it. Raises UserError where `root` has other entries of these names.
    """
    last, made = entries[-1], root / UNFINISHED
    if (root / last).exists():
        return
    if not (made / last).exists():
        for entry in entries:
            if (root / entry).exists():
                raise UserError(
                    f"{root / entry} is in the way and {last} is missing: "
                    f"give {name} a folder of its own"
                )
        shutil.rmtree(made, ignore_errors=True)
        make(made)
    for entry in entries:
        if (made / entry).exists():
            os.replace(made / entry, root / entry)
    made.rmdir()


def on_all_cores(
    task: str, work: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> list[Result]:
    """The results in the order of the jobs, by `workers` processes (0: one per core).

    Shows the progress of `task`, such as "synthesising street_sounds".
    """
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    with progress(task, len(jobs)) as bar:
        if workers <= 1:
            return list(counted(map(work, jobs), bar))
        # Spawned, not forked: a fork of a process whose numerical libraries run threads can hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            return list(counted(pool.map(work, jobs, chunksize=4), bar))


def counted(results: Iterable[Result], bar: tqdm) -> Iterator[Result]:
    for result in results:
        bar.update()
        yield result
