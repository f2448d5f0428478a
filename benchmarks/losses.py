"""The cost of each distillation loss: an epoch of ce + loss with a cached teacher, over one of ce.

The sizes of `distillation_step`: a dcase_net teacher on 998 x 64 mels, a dcase_small student on
998 x 20, batches of 8, 8 classes, here with one label per clip, on synthetic features. CPU time on
one core, of trainings on the same clips in the same batches that alternate; the medians are
compared. All outputs of the teacher that a loss takes are cached in memory before.
"""

from __future__ import annotations

import copy
import inspect
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.distillation_step import BANDS, BATCH, CLASSES, MODEL, features_of, model_of
from benchmarks.measure import alternate, command_line, medians, report
from config import Student
from data.loading.batches import Batches, ClipFeatures
from losses import LOSSES
from losses.loss import Loss
from training.optimisers import build_optimiser
from training.steps import Step, Teacher
from training.teacher_cache import TeacherCache, outputs_folder, required_outputs

PLAIN = "ce"


def build(name: str) -> Loss:
    task = {"task": "single_label"} if "task" in inspect.signature(LOSSES[name]).parameters else {}
    return LOSSES[name](**task)


def epochs_of(
    name: str, student: nn.Module, features: dict[str, ClipFeatures], teacher: Teacher
) -> Callable[[], float]:
    """A training of its own; each call is an epoch and gives its CPU seconds."""
    model = copy.deepcopy(student)
    losses = {one: build(one) for one in dict.fromkeys((PLAIN, name))}
    teachers = [teacher] if LOSSES[name].takes_teacher else []
    step = Step(model, "student", losses, {}, teachers)
    clips = len(features["student"].cache.table)
    generator = torch.Generator().manual_seed(1)
    targets = torch.eye(CLASSES)[torch.randint(CLASSES, (clips,), generator=generator)]
    rows = np.arange(clips)
    batches = Batches({"student": features["student"]}, targets, rows, BATCH, 0)
    step.build(model, batches, rows, seed=0)
    model.train()
    settings = Student(learning_rate=1e-4)
    optimiser = build_optimiser(model, settings, torch.device("cpu"), step.parameters())

    def epoch() -> float:
        started = time.process_time()
        for batch in batches.epoch(0):
            loss = step(batch)["loss"]
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        return time.process_time() - started

    return epoch


def main() -> None:
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=4, help="per epoch")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each training")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = arguments.batches * BATCH
    features = {role: features_of(bands, clips) for role, bands in BANDS.items()}
    student = model_of(MODEL["student"], features["student"])
    model = model_of(MODEL["teacher"], features["teacher"]).eval()
    names = [name for name, loss in LOSSES.items() if loss.takes_teacher]
    contenders = {}
    with tempfile.TemporaryDirectory() as folder:
        rows, ids = np.arange(clips), features["teacher"].cache.table.ids[:]
        place = outputs_folder(Path(folder), {"weights": "random"}, ids)
        cache = TeacherCache(model, features["teacher"], rows, None, [place], 16.0, 64.0)
        cache.fill(required_outputs("+".join(names)))
        for name in (PLAIN, *names):
            teacher = cache.teacher(required_outputs(name))
            if teacher is None:
                raise SystemExit(f"{name}: the outputs of the teacher do not fit into the cache")
            contenders[name] = epochs_of(name, student, features, teacher)
    for epoch in contenders.values():
        epoch()
    seconds = medians(alternate(contenders, arguments.rounds))
    ratios = {name: seconds[name] / seconds[PLAIN] for name in names}
    report(
        "losses",
        arguments,
        ("loss", "ms per step", "relative to ce", "n"),
        [
            (name, 1000 * seconds[name] / arguments.batches, seconds[name] / seconds[PLAIN], n)
            for name, n in ((name, arguments.rounds) for name in contenders)
        ],
        {"largest": max(ratios.values()), **{f"{name}_over_ce": r for name, r in ratios.items()}},
    )


if __name__ == "__main__":
    main()
