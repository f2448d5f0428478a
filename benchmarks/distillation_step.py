"""What teachers cost an epoch: cached, three of them cached, online, and left out.

The published urban sound tagging system's sizes: a dcase_net teacher on 998 x 64 mels, a
dcase_small student on 998 x 20, batches of 8, labels of 8 tags, on synthetic features. All train
on the same clips in the same batches; repetitions take turns, so that a disturbance of the machine
meets all alike, and the medians are compared. (The three teachers are one that is looked up three
times: what a generalist and two specialists cost.)

Then one student learns from the cached teacher in float32, and at every step the online teacher's
loss of the same weights and clips is compared with the one it learns from. (Two students that learn
apart would show how training amplifies the last bit, not what the cache changes.)
"""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import command_line, report
from config import Mel
from data.augment import Augmentation
from data.loading.batches import Batch, Batches, ClipFeatures
from data.loading.replay import Replay
from data.tables.clips import Clip, ClipTable
from losses import LOSSES
from models import MODELS
from training.steps import OnlineTeacher, Step, Teacher
from training.teacher_cache import TeacherCache, outputs_folder, required_outputs

CLASSES, BATCH, FRAMES = 8, 8, 998
BANDS = {"teacher": 64, "student": 20}
MODEL = {"teacher": "dcase_net", "student": "dcase_small"}
COEFFICIENTS = {"bce": 1.5, "kd": 1.5, "sp": 10.0}


def features_of(bands: int, clips: int) -> ClipFeatures:
    """Synthetic mels of all clips, in memory, as a mel cache gives them."""
    names = [f"{n:04d}" for n in range(clips)]
    table = ClipTable.of(
        [Clip(id=name, path=Path(name), labels={"tag": 1.0}) for name in names],
        ("tag",),
        "multi_label",
    )
    generator = torch.Generator().manual_seed(bands)
    stored = torch.randn(clips, 1, FRAMES, bands, generator=generator).half()
    cache = SimpleNamespace(
        table=table,
        shape=stored.shape[1:],
        settings=Mel(num_bands=bands),
        folder=Path("synthetic"),
        gather=lambda rows: stored[torch.as_tensor(rows)],
    )
    return ClipFeatures(cache, table.ids, torch.device("cpu"), 4.0)


def model_of(name: str, view: ClipFeatures) -> nn.Module:
    torch.manual_seed(0)
    return MODELS[name](num_classes=CLASSES, input_shape=view.shape)


class Training:
    """A student with its optimiser, its losses and the teachers that these want."""

    def __init__(
        self,
        variant: str,
        student: nn.Module,
        views: dict[str, ClipFeatures],
        teachers: list[Teacher],
        augmentation: Augmentation | None = None,
        replay: Replay | None = None,
    ) -> None:
        self.student = copy.deepcopy(student)
        losses = {name: LOSSES[name]() for name in variant.split("+") if name != "kd"}
        if "kd" in variant:
            losses["kd"] = LOSSES["kd"](task="multi_label", temperature=2.0)
        self.step = Step(self.student, "student", losses, COEFFICIENTS, teachers)
        self.optimiser = torch.optim.Adam(self.student.parameters(), lr=1e-4)
        heard = ["student", *(role for teacher in teachers for role in teacher.input_roles)]
        clips = len(views["student"].cache.table)
        generator = torch.Generator().manual_seed(1)
        targets = (torch.rand(clips, CLASSES, generator=generator) < 0.2).float()
        views = {role: views[role] for role in heard}
        rows = np.arange(clips)
        self.batches = Batches(views, targets, rows, BATCH, 0, augmentation, replay)

    def epoch(self, number: int) -> list[Tensor]:
        losses = []
        for batch in self.batches.epoch(number):
            loss = self.step(batch)["loss"]
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            losses.append(loss.detach())
        return losses


def seconds_of(training: Training, number: int) -> float:
    started = time.perf_counter()
    training.epoch(number)
    return time.perf_counter() - started


def compared_losses(training: Training, teacher: Teacher, steps: int) -> tuple[Tensor, Tensor]:
    """What `training` learns from at each step, and what `teacher` would have it learn from."""
    other = Step(training.student, "student", training.step.losses, COEFFICIENTS, [teacher])
    own, compared = [], []

    def step(batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            compared.append(other(batch)["loss"])
        return learned(batch)

    learned, training.step = training.step, step
    while len(own) < steps:
        own += training.epoch(len(own))
    return torch.stack(own[:steps]).double(), torch.stack(compared[:steps]).double()


def main() -> None:
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=6, help="of an epoch")
    parser.add_argument("--repetitions", type=int, default=9, help="of the epochs compared")
    parser.add_argument("--steps", type=int, default=50, help="whose losses are compared")
    arguments = parser.parse_args()
    clips = arguments.batches * BATCH
    views = {role: features_of(bands, clips) for role, bands in BANDS.items()}
    student = model_of(MODEL["student"], views["student"])
    online = OnlineTeacher(model_of(MODEL["teacher"], views["teacher"]))

    with tempfile.TemporaryDirectory() as folder:
        rows, ids = np.arange(clips), views["teacher"].cache.table.ids
        place = outputs_folder(Path(folder), {"weights": "random"}, ids)
        started = time.perf_counter()
        cache = TeacherCache(online.model, views["teacher"], rows, None, [place], 4.0, 64.0)
        cache.fill(required_outputs("bce+kd+sp"))
        once = time.perf_counter() - started
        cached = cache.teacher(required_outputs("bce+kd+sp"))

    mixes = {"plain": ("bce", []), "cached": ("bce+kd+sp", [cached])}
    mixes["three cached"] = ("bce+kd+sp", [cached] * 3)
    mixes["online"] = ("bce+kd+sp", [online])
    trainings = {
        name: Training(variant, student, views, teachers)
        for name, (variant, teachers) in mixes.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in mixes}
    for training in trainings.values():
        training.epoch(0)
    for number in range(1, arguments.repetitions + 1):
        for name, training in trainings.items():
            if name != "online" or number % 3 == 1:  # a third of them: it takes so much longer
                seconds[name].append(seconds_of(training, number))
    median = {name: statistics.median(values) for name, values in seconds.items()}

    learning = Training("bce+kd+sp", student, views, [cached])
    learning.batches.features = views  # the online teacher hears them too
    own, compared = compared_losses(learning, online, arguments.steps)
    difference = ((own - compared).abs() / compared.abs()).max().item()

    report(
        "distillation_step",
        arguments,
        ("an epoch of", "ms a step", "of plain", "n"),
        [
            (
                f"{variant} {name}",
                1000 * median[name] / arguments.batches,
                median[name] / median["plain"],
                len(seconds[name]),
            )
            for name, (variant, _) in mixes.items()
        ],
        {
            "cached_over_plain": median["cached"] / median["plain"],
            "three_cached_over_plain": median["three cached"] / median["plain"],
            "online_over_plain": median["online"] / median["plain"],
            "max_relative_loss_difference": difference,
            "steps": arguments.steps,
            "seconds_to_cache": once,
        },
    )


if __name__ == "__main__":
    main()
