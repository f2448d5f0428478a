"""A tiny data set of tones and the scripts run on it as a user runs them."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO

import numpy as np
import soundfile

ROOT = Path(__file__).parent.parent
RATE = 8000
PRELOADED = ["torch", "torch.utils.tensorboard", "pandas", "scipy.stats", "soundfile", "soxr"]
PRELOADED += ["matplotlib.figure", "matplotlib.backends.backend_svg", "jinja2", "safetensors.torch"]
PRELOADED += ["sklearn.metrics", "scipy.signal"]
PRELOADED += ["onnx", "onnxruntime", "torch.onnx", "onnxscript"]
PRELOADED += ["training.stages", "training.dry_run", "training.log", "report.page", "report.table"]
PRELOADED += ["data.datasets", "data.features.extract", "deploy.student", "torch._dynamo"]
PRELOADED += ["sklearn.calibration", "sklearn.linear_model", "matplotlib.style"]
CONFIG = """
[data]
DATASET = csv_folder
ROOT = recordings
CLIP_SECONDS = 0.5
TASK = {task}
[mel]
SAMPLE_RATE = 8000
MEL_MAX_HZ = 4000
NUM_BANDS_TEACHER = 16
NUM_BANDS_STUDENT = 12
NORMALISE = global
[teacher]
MODEL = dcase_small
WIDTH_MULT = 0.5
EPOCHS = 3
LEARNING_RATE = 0.003
[student]
MODEL = dcase_small
WIDTH_MULT = 0.25
EPOCHS = 3
LEARNING_RATE = 0.003
[distillation]
VARIANTS = {variants}
[run]
DEVICE = cpu
WORKERS = 1
"""


def make_tones(folder: Path, task: str, parts: str) -> None:
    """Twelve clips per split: a low tone or a high one; for multi_label also both, or none."""
    recordings = folder / "recordings"
    recordings.mkdir()
    generator = np.random.default_rng(0)
    time_axis = np.arange(RATE // 2) / RATE
    names = ("train", "validate", "test") if parts == "split" else ("1", "2")
    lines = [f"filename,label{'s' if task == 'multi_label' else ''},{parts},group"]
    for part in names:
        for n in range(12):
            labels = [["low"], ["high"], ["low", "high"], []][
                n % (4 if task == "multi_label" else 2)
            ]
            wave = 0.02 * generator.standard_normal(len(time_axis))
            for name in labels:
                pitch = {"low": 300, "high": 2500}[name] * generator.uniform(0.9, 1.1)
                wave += 0.3 * np.sin(2 * np.pi * pitch * time_axis)
            file = f"{part}_{n:02d}.wav"
            soundfile.write(recordings / file, wave, RATE)
            lines.append(f"{file},{';'.join(labels)},{part},{part}{n // 2}")
    (recordings / "clips.csv").write_text("\n".join(lines) + "\n")


def workplace(
    folder: Path, task: str = "single_label", parts: str = "split", extra: str = ""
) -> Path:
    """A folder with a data set and its config.ini."""
    make_tones(folder, task, parts)
    label = "ce" if task == "single_label" else "bce"
    variants = f"{label}, {label}+kd, {label}+kd+sp"
    (folder / "config.ini").write_text(CONFIG.format(task=task, variants=variants) + extra)
    return folder


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def run(folder: Path, script: str, *arguments: str, status: int = 0, processes: int = 1) -> str:
    """The output of a script, or a module as in `-m report`. Fails unless it ends with `status`."""
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        process = start_a_fork(folder, *launched(script, arguments, processes), out, err)
        process.join()
        printed = "".join((file.seek(0), file.read())[1] for file in (out, err))
    assert process.exitcode == status, printed
    return printed


def launched(script: str, arguments: Sequence[str], processes: int) -> tuple[str, Sequence[str]]:
    """The script that is started: of several processes, torchrun's."""
    if processes == 1:
        return script, arguments
    options = ("--standalone", f"--nproc-per-node={processes}")
    started = script.split() if script.startswith("-m ") else [str(ROOT / script)]
    return "-m torch.distributed.run", (*options, *started, *arguments)


def start_a_fork(
    folder: Path,
    script: str,
    arguments: Sequence[str],
    out: TextIO,
    err: TextIO,
    before: Callable[[], None] | None = None,
) -> ForkServerProcess:
    """The script in a new process, which calls `before` first. It is forked from one that has
    imported torch already: each import takes seconds, which would be most of the time of a chain of
    three scripts.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    streams = [DupFd(file.fileno()) for file in (out, err)]
    settings = (folder, script, arguments, streams, environment(), before)
    process = context.Process(target=as_main, args=settings)
    process.start()
    return process


def as_main(
    folder: Path,
    script: str,
    arguments: Sequence[str],
    streams: Sequence[DupFd],
    variables: Mapping[str, str],
    before: Callable[[], None] | None = None,
) -> None:
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.detach(), number)
    os.chdir(folder)
    os.environ.update(variables)
    sys.path[0], sys.argv = str(ROOT), [script, *arguments]
    if before:
        before()
    if script.startswith("-m "):
        runpy.run_module(script.removeprefix("-m "), run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(str(ROOT / script), run_name="__main__")


def kill_when(folder: Path, script: str, appears: str, *arguments: str, processes: int) -> None:
    """Start a script in several processes; kill -9 one of them once a file like `appears` is there.

    torchrun has to end the others.
    """
    with Path(os.devnull).open("w") as nowhere:
        started = start_a_fork(folder, *launched(script, arguments, processes), nowhere, nowhere)
        deadline = time.monotonic() + 120
        while not any(folder.glob(appears)):
            assert started.exitcode is None, f"{script} ended before {appears} was there"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        started.join(timeout=120)
        assert started.exitcode
