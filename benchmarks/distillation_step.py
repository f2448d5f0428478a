"""The cost of teachers per epoch: one cached, three cached, one online, and none.

The sizes of the published urban sound tagging system: a dcase_net teacher on 998 x 64 mels, a
dcase_small student on 998 x 20, batches of 8, labels of 8 tags, on synthetic features. All train on
the same clips in the same batches. Repetitions alternate, so that other load on the machine affects
all of them, and the medians are compared. (The three teachers are one that is read three times, as
for a generalist and two specialists.)

Then one student is trained with the cached teacher in float32, and at every step its loss is
compared with the loss that the online teacher gives for the same weights and clips. (Two separate
trainings would amplify rounding errors, and not show the difference that the cache makes.)
"""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import command_line, report
from config import Mel
from data.augment import Augmentation
from data.features.mel_cache import MelCache
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
    """Synthetic mels of all clips, in memory."""
    names = [f"{n:04d}" for n in range(clips)]
    table = ClipTable.of(
        [Clip(id=name, path=Path(name), labels={"tag": 1.0}) for name in names],
        ("tag",),
        "multi_label",
    )
    generator = torch.Generator().manual_seed(bands)
    stored = torch.randn(clips, 1, FRAMES, bands, generator=generator).half()
    cache = MelCache(Path("synthetic"), table, Mel(num_bands=bands), (1, FRAMES, bands), [stored])
    return ClipFeatures(cache, table.ids, torch.device("cpu"), 4.0)


def model_of(name: str, features: ClipFeatures) -> nn.Module:
    torch.manual_seed(0)
    return MODELS[name](num_classes=CLASSES, input_shape=features.shape)


class Training:
    """A student with its optimiser, its losses and the teachers that they require."""

    def __init__(
        self,
        variant: str,
        student: nn.Module,
        features: dict[str, ClipFeatures],
        teachers: list[Teacher],
        augmentation: Augmentation | None = None,
        replay: Replay | None = None,
    ) -> None:
        self.student = copy.deepcopy(student)
        self.losses = {name: LOSSES[name]() for name in variant.split("+") if name != "kd"}
        if "kd" in variant:
            self.losses["kd"] = LOSSES["kd"](task="multi_label", temperature=2.0)
        self.step: Callable[[Batch], dict[str, Tensor]] = Step(
            self.student, "student", self.losses, COEFFICIENTS, teachers
        )
        self.optimiser = torch.optim.Adam(self.student.parameters(), lr=1e-4)
        roles = ["student", *(role for teacher in teachers for role in teacher.input_roles)]
        clips = len(features["student"].cache.table)
        generator = torch.Generator().manual_seed(1)
        targets = (torch.rand(clips, CLASSES, generator=generator) < 0.2).float()
        features = {role: features[role] for role in roles}
        rows = np.arange(clips)
        self.batches = Batches(features, targets, rows, BATCH, 0, augmentation, replay)

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
    """The loss of `training` at each step, and the loss with `teacher` in its place."""
    other = Step(training.student, "student", training.losses, COEFFICIENTS, [teacher])
    losses: list[Tensor] = []
    compared: list[Tensor] = []

    def step(batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            compared.append(other(batch)["loss"])
        return original(batch)

    original, training.step = training.step, step
    while len(losses) < steps:
        losses += training.epoch(len(losses))
    return torch.stack(losses[:steps]).double(), torch.stack(compared[:steps]).double()


def main() -> None:
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=6, help="per epoch")
    parser.add_argument("--repetitions", type=int, default=9, help="per contender")
    parser.add_argument("--steps", type=int, default=50, help="number of compared losses")
    arguments = parser.parse_args()
    clips = arguments.batches * BATCH
    features = {role: features_of(bands, clips) for role, bands in BANDS.items()}
    student = model_of(MODEL["student"], features["student"])
    online = OnlineTeacher(model_of(MODEL["teacher"], features["teacher"]))

    with tempfile.TemporaryDirectory() as folder:
        rows, ids = np.arange(clips), features["teacher"].cache.table.ids[:]
        place = outputs_folder(Path(folder), {"weights": "random"}, ids)
        started = time.perf_counter()
        cache = TeacherCache(online.model, features["teacher"], rows, None, [place], 4.0, 64.0)
        cache.fill(required_outputs("bce+kd+sp"))
        once = time.perf_counter() - started
        cached = cache.teacher(required_outputs("bce+kd+sp"))
    if cached is None:
        raise SystemExit("the outputs of the teacher do not fit into the cache")

    mixes: dict[str, tuple[str, list[Teacher]]] = {
        "plain": ("bce", []),
        "cached": ("bce+kd+sp", [cached]),
        "three cached": ("bce+kd+sp", [cached] * 3),
        "online": ("bce+kd+sp", [online]),
    }
    trainings = {
        name: Training(variant, student, features, teachers)
        for name, (variant, teachers) in mixes.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in mixes}
    for training in trainings.values():
        training.epoch(0)
    for number in range(1, arguments.repetitions + 1):
        for name, training in trainings.items():
            if name != "online" or number % 3 == 1:  # fewer repetitions: it is much slower
                seconds[name].append(seconds_of(training, number))
    median = {name: statistics.median(values) for name, values in seconds.items()}

    learning = Training("bce+kd+sp", student, features, [cached])
    learning.batches.features = features  # the online teacher needs its features too
    losses, compared = compared_losses(learning, online, arguments.steps)
    difference = ((losses - compared).abs() / compared.abs()).max().item()

    report(
        "distillation_step",
        arguments,
        ("training", "ms per step", "relative to plain", "n"),
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
