"""A tiny data set of tones and the scripts run on it as a user runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parent.parent
RATE = 8000
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
    """Twelve clips a part: a low tone or a high one; for multi_label also both, or none."""
    recordings = folder / "recordings"
    recordings.mkdir()
    generator = np.random.default_rng(0)
    time_axis = np.arange(RATE // 2) / RATE
    names = ("train", "validate", "test") if parts == "split" else ("1", "2")
    lines = [f"filename,label{'s' if task == 'multi_label' else ''},{parts},group"]
    for part in names:
        for n in range(12):
            heard = [["low"], ["high"], ["low", "high"], []][
                n % (4 if task == "multi_label" else 2)
            ]
            wave = 0.02 * generator.standard_normal(len(time_axis))
            for name in heard:
                pitch = {"low": 300, "high": 2500}[name] * generator.uniform(0.9, 1.1)
                wave += 0.3 * np.sin(2 * np.pi * pitch * time_axis)
            file = f"{part}_{n:02d}.wav"
            soundfile.write(recordings / file, wave, RATE)
            lines.append(f"{file},{';'.join(heard)},{part},{part}{n // 2}")
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


def command(script: str, *arguments: str, processes: int = 1) -> list[str]:
    torchrun = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}")
    launcher = torchrun if processes > 1 else ()
    return [sys.executable, *launcher, str(ROOT / script), *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def run(folder: Path, script: str, *arguments: str, status: int = 0, processes: int = 1) -> str:
    """What a script prints. Fails unless it ends with `status`."""
    done = subprocess.run(
        command(script, *arguments, processes=processes),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def kill_when(folder: Path, script: str, appears: str, *arguments: str, processes: int = 1) -> None:
    """Start a script; kill -9 it and its children once a file like `appears` is there.

    Of several processes one is killed, and torchrun has to end the others.
    """
    started = subprocess.Popen(
        command(script, *arguments, processes=processes),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not any(folder.glob(appears)):
        assert started.poll() is None, f"{script} ended before {appears} was there"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    if processes == 1:
        os.killpg(started.pid, signal.SIGKILL)
    else:
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
    started.wait(timeout=120)
