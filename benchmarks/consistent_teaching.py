"""What it costs that teacher and student hear the same disturbed clips.

    python -m benchmarks.consistent_teaching

CMKD's disturbances (mixup of half of the clips, both masks, noise, roll), drawn and rendered at
every step. `plain` trains the student on labels alone; `teacher` asks the teacher about batches
that were rendered before the clock started. `online` trains on labels and teacher, which hears what
the student hears, in its own bands: it may cost what these two do, and little more. `replayed`
trains so on views that were drawn once, whose teacher's outputs are looked up: it may cost what
`plain` does, and little more. `undisturbed` is `plain` without [augment]. The teacher takes so long
that what hears it, and `plain` beside it, has fewer rounds, of its own. The seconds are those of
the processor, one core: none of them is waited for, and other programs' turns do not count.
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
from benchmarks.measure import command_line, keep_cores, medians, report, take_turns
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
    """Of one contender's seconds to the sum of others', the median of the rounds.

    What disturbs the machine for longer than a round cancels out; medians of parts do not add.
    """
    sums = map(sum, zip(*(seconds[name] for name in others), strict=True))
    return statistics.median(a / b for a, b in zip(seconds[one], sums, strict=True))


def main() -> None:
    parser = command_line(__doc__)
    for role in ("teacher", "student"):
        parser.add_argument(f"--{role}", choices=sorted(MODELS), default=MODEL[role])
        parser.add_argument(f"--{role}-bands", type=int, default=BANDS[role])
    parser.add_argument("--batches", type=int, default=4, help="of an epoch")
    parser.add_argument("--views", type=int, default=2, help="that are replayed")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--teacher-rounds", type=int, default=5, help="of plain, online, teacher")
    arguments = parser.parse_args()
    torch.set_num_threads(keep_cores(1))
    clips = arguments.batches * BATCH
    views = {role: features_of(getattr(arguments, f"{role}_bands"), clips) for role in MODEL}
    student = model_of(arguments.student, views["student"])
    online = OnlineTeacher(model_of(arguments.teacher, views["teacher"]))
    augmentation = Augmentation(CMKD, SECONDS, 8000.0)
    replay = Replay(augmentation, np.arange(clips), arguments.views, seed=0)

    with tempfile.TemporaryDirectory() as folder:
        ids = views["teacher"].cache.table.ids
        places = [outputs_folder(Path(folder), {"view": k}, ids) for k in range(arguments.views)]
        made_from = (online.model, views["teacher"], np.arange(clips), replay)
        cache = TeacherCache(*made_from, places, 4.0, 64.0)
        cache.fill(required_outputs(VARIANT))
        cached = cache.teacher(required_outputs(VARIANT))

    trainings = {
        "undisturbed": Training("bce", student, views, []),
        "plain": Training("bce", student, views, [], augmentation),
        "replayed": Training(VARIANT, student, views, [cached], replay=replay),
        "online": Training(VARIANT, student, views, [online], augmentation),
    }
    ready, epochs = list(trainings["online"].batches.epoch(0)), itertools.count()
    contenders = {
        name: lambda training=training: processor_seconds(lambda: training.epoch(next(epochs)))
        for name, training in trainings.items()
    }
    slow = {
        "plain": contenders["plain"],
        "online": contenders.pop("online"),
        "teacher": lambda: processor_seconds(lambda: [online.outputs(batch) for batch in ready]),
    }
    take_turns(contenders | slow, 1)
    slow_seconds = take_turns(slow, arguments.teacher_rounds)
    seconds = take_turns(contenders, arguments.rounds)
    median = medians(slow_seconds | seconds)
    figures = {
        "online_over_apart": ratio(slow_seconds, "online", "plain", "teacher"),
        "replayed_over_plain": ratio(seconds, "replayed", "plain"),
        "plain_over_undisturbed": ratio(seconds, "plain", "undisturbed"),
    }
    report(
        "consistent_teaching",
        arguments,
        ("an epoch of", "ms a step", "of plain"),
        [
            (name, 1000 * value / arguments.batches, value / median["plain"])
            for name, value in median.items()
        ],
        figures,
        [{"model": f"{arguments.teacher} to {arguments.student}", **figures}],
    )


if __name__ == "__main__":
    main()
