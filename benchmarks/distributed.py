"""bce+kd+sp in one process with batch 32, compared with two with batch 16 (gloo), one core each.

`python -m benchmarks.distributed`. Both process the same augmented batches of an epoch, the last of
which is short and odd, with the same weights, and save the gradients of each step. The relative
difference of two gradients is the norm of the difference over the norm of the gradient, per tensor;
it is caused by the order of float32 sums. The time covers augmentation, both models, the losses and
their gradients: the median over the steps of an epoch after the first two.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import command_line, report
from config import Augment, Mel, StudentMel
from data.augment import Augmentation
from data.features.mel_cache import MelCache
from data.loading.batches import Batches, ClipFeatures
from data.tables.clips import Clip, ClipTable
from losses import LOSSES
from models import MODELS
from training.distributed import data_parallel, processes, rank, world
from training.steps import OnlineTeacher, Step

BATCH_SIZE, CLIPS = 32, 32 * 9 + 13
CLASSES = tuple("abcdefgh")
SECONDS = 4.0


class Measured(TypedDict):
    """Of each step, and the seconds of a step."""

    gradients: list[dict[str, Tensor]]
    losses: list[dict[str, Tensor]]
    seconds: float


def main() -> None:
    if "RANK" in os.environ:
        run_rank(Path(sys.argv[1]))
        return
    arguments = command_line(__doc__.splitlines()[0]).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        one, two = (start(count, Path(folder, f"{count}.pt")) for count in (1, 2))
    report(
        "distributed",
        arguments,
        ("processes", "batch per process", "ms per step", "clips per second"),
        [
            (count, BATCH_SIZE // count, 1000 * found["seconds"], BATCH_SIZE / found["seconds"])
            for count, found in ((1, one), (2, two))
        ],
        {
            "max_relative_gradient_difference": difference(one["gradients"], two["gradients"]),
            "max_relative_loss_difference": difference(one["losses"], two["losses"]),
            "throughput_ratio": one["seconds"] / two["seconds"],
        },
    )


def start(count: int, file: Path) -> Measured:
    """Gradients, losses and seconds of `count` processes, each on one core."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    command = [sys.executable, *launcher, "-m", "benchmarks.distributed", str(file)]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return torch.load(file)


def difference(one: list[dict[str, Tensor]], two: list[dict[str, Tensor]]) -> float:
    """The largest relative difference, over batches and tensors."""
    return max(
        ((b[name] - a[name]).norm() / a[name].norm()).item()
        for a, b in zip(one, two, strict=True)
        for name in a
    )


def run_rank(file: Path) -> None:
    with processes("cpu"):
        step, batches = build()
        gradients: list[dict[str, Tensor]] = []
        losses: list[dict[str, Tensor]] = []
        seconds: list[float] = []
        epoch = batches.epoch(0)
        for _ in range(len(batches)):
            step.model.zero_grad()
            began = time.perf_counter()
            terms = step(next(epoch))
            terms["loss"].backward()
            seconds.append(time.perf_counter() - began)
            parameters = (p.grad.clone() for p in step.model.parameters() if p.grad is not None)
            gradients.append({str(n): gradient for n, gradient in enumerate(parameters)})
            losses.append({name: term.detach() for name, term in terms.items()})
        if rank() == 0:
            median = statistics.median(seconds[2:-1])
            found: Measured = {"gradients": gradients, "losses": losses, "seconds": median}
            torch.save(found, file)


def build() -> tuple[Step, Batches]:
    """A DCASE Small of width 0.5 is distilled from a DCASE Net of width 0.25."""
    generator = np.random.default_rng(0)
    clips = [
        Clip(id=f"{n:04d}", path=Path(f"{n}.wav"), labels=dict.fromkeys(CLASSES[n % 8 :: 3], 1.0))
        for n in range(CLIPS)
    ]
    table = ClipTable.of(clips, CLASSES, "multi_label")
    features = {}
    for role, mel in (("teacher", Mel(num_bands=64)), ("student", StudentMel())):
        shape = (1, 198, mel.num_bands)
        spectra = 2 * generator.normal(size=(CLIPS, 1, 1, mel.num_bands))  # per clip
        mels = (spectra + generator.normal(size=(CLIPS, *shape))).astype(np.float16)
        cache = MelCache(Path(role), table, mel, shape, [torch.from_numpy(mels)])
        features[role] = ClipFeatures(cache, table.ids, torch.device("cpu"), 1.0)
    models = {}
    for role, name, width in (("teacher", "dcase_net", 0.25), ("student", "dcase_small", 0.5)):
        torch.manual_seed(0)
        models[role] = MODELS[name](
            num_classes=len(CLASSES), input_shape=features[role].shape, width_mult=width
        ).to(memory_format=torch.channels_last)
    losses = {
        "bce": LOSSES["bce"](),
        "kd": LOSSES["kd"](task="multi_label", temperature=2.0),
        "sp": LOSSES["sp"](),
    }
    augment = Augment(mixup_alpha=0.3, roll_seconds=1.0, gain_db=6, time_mask_seconds=0.5)
    batches = Batches(
        features,
        torch.from_numpy(table.targets[:]),
        np.arange(CLIPS),
        BATCH_SIZE,
        0,
        Augmentation(augment, SECONDS, 8000.0),
        rank=rank(),
        world=world(),
    )
    student = data_parallel(models["student"], losses.values())
    weights = {"bce": 1.5, "kd": 1.5, "sp": 10.0}
    return Step(student, "student", losses, weights, [OnlineTeacher(models["teacher"])]), batches


if __name__ == "__main__":
    main()
