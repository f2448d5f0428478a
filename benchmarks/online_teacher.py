"""The cost of a teacher on the same augmented clips as the student, computed at every step.

    python -m benchmarks.online_teacher

CMKD's augmentation (mixup of half of the clips, both masks, noise, roll), sampled and rendered at
every step. `plain` trains the student on labels only; `teacher` is the forward pass of the teacher
on batches that were rendered before the timing. `online` trains on labels and on the teacher's
outputs for the same augmented clips: its cost should be close to the sum of these two. `replayed`
trains on views that were sampled once and whose teacher outputs are cached: its cost should be
close to that of `plain`. `unaugmented` is `plain` without [augment]. The teacher is slow, so the
contenders that run it have fewer rounds, and so has the `plain` that they are compared with. The
seconds are CPU time on one core, so other programs do not count.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.distillation_step import (
    BANDS,
    BATCH,
    MODEL,
    Training,
    features_of,
    model_of,
)
from benchmarks.measure import alternate, command_line, keep_cores, medians, report
from config import Augment
from data.augment import Augmentation
from data.loading.replay import Replay
from models import MODELS
from training.steps import OnlineTeacher
from training.teacher_cache import TeacherCache, outputs_folder, required_outputs

CMKD = Augment(
    mixup_alpha=10.0,
    mixup_prob=0.5,
    time_mask_seconds=1.92,
    frequency_mask_share=0.375,
    noise_db=2.0,
    roll_seconds=0.1,
)
SECONDS, VARIANT = 10.0, "bce+kd"


def processor_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def ratio(seconds: dict[str, list[float]], one: str, *others: str) -> float:
    """Seconds of one contender over the sum of others, the median over the rounds.

    Load that lasts longer than a round cancels out.
    """
    sums = map(sum, zip(*(seconds[name] for name in others), strict=True))
    return statistics.median(a / b for a, b in zip(seconds[one], sums, strict=True))


def main() -> None:
    parser = command_line(__doc__)
    for role in ("teacher", "student"):
        parser.add_argument(f"--{role}", choices=sorted(MODELS), default=MODEL[role])
        parser.add_argument(f"--{role}-bands", type=int, default=BANDS[role])
    parser.add_argument("--batches", type=int, default=4, help="per epoch")
    parser.add_argument("--views", type=int, default=2, help="number of replayed views")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument(
        "--teacher-rounds", type=int, default=5, help="rounds of plain, online, teacher"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(keep_cores(1))
    clips = arguments.batches * BATCH
    features = {role: features_of(getattr(arguments, f"{role}_bands"), clips) for role in MODEL}
    student = model_of(arguments.student, features["student"])
    online = OnlineTeacher(model_of(arguments.teacher, features["teacher"]))
    augmentation = Augmentation(CMKD, SECONDS, 8000.0)
    replay = Replay(augmentation, np.arange(clips), arguments.views, seed=0)

    with tempfile.TemporaryDirectory() as folder:
        ids = features["teacher"].cache.table.ids[:]
        places = [outputs_folder(Path(folder), {"view": k}, ids) for k in range(arguments.views)]
        inputs = (online.model, features["teacher"], np.arange(clips), replay)
        cache = TeacherCache(*inputs, places, 4.0, 64.0)
        cache.fill(required_outputs(VARIANT))
        cached = cache.teacher(required_outputs(VARIANT))
    if cached is None:
        raise SystemExit("the outputs of the teacher do not fit into the cache")

    trainings = {
        "unaugmented": Training("bce", student, features, []),
        "plain": Training("bce", student, features, [], augmentation),
        "replayed": Training(VARIANT, student, features, [cached], replay=replay),
        "online": Training(VARIANT, student, features, [online], augmentation),
    }
    ready, epochs = list(trainings["online"].batches.epoch(0)), itertools.count()

    def timed(training: Training) -> Callable[[], float]:
        return lambda: processor_seconds(lambda: training.epoch(next(epochs)))

    contenders = {name: timed(training) for name, training in trainings.items()}
    slow: dict[str, Callable[[], float]] = {
        "plain": contenders["plain"],
        "online": contenders.pop("online"),
        "teacher": lambda: processor_seconds(lambda: [online.outputs(batch) for batch in ready]),
    }
    alternate(contenders | slow, 1)
    slow_seconds = alternate(slow, arguments.teacher_rounds)
    seconds = alternate(contenders, arguments.rounds)
    median = medians(slow_seconds | seconds)
    figures = {
        "online_over_apart": ratio(slow_seconds, "online", "plain", "teacher"),
        "replayed_over_plain": ratio(seconds, "replayed", "plain"),
        "plain_over_unaugmented": ratio(seconds, "plain", "unaugmented"),
    }
    report(
        "online_teacher",
        arguments,
        ("training", "ms per step", "relative to plain"),
        [
            (name, 1000 * value / arguments.batches, value / median["plain"])
            for name, value in median.items()
        ],
        figures,
        [{"model": f"{arguments.teacher} to {arguments.student}", **figures}],
    )


if __name__ == "__main__":
    main()
