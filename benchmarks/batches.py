"""Training epochs from the cache on disk, compared with batches in memory.

    python -m benchmarks.batches

An epoch is DCASE Small's forward pass, loss, backward pass and optimiser step on normalised mels of
ten seconds and 20 bands: the cheapest model of a practical distillation. `in memory` trains on
batches that were loaded before the timing. `from the cache` maps shards, which are in the page
cache of the system, so the speed of the disk is not measured. `without prefetch` gathers in the
training thread. `resident` holds the full cache as one tensor. All train on the same clips in the
same order.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.measure import alternate, command_line, keep_cores, medians, report
from benchmarks.synthetic import clip_table, write_cache
from data.loading.batches import Batch, Batches, ClipFeatures, DeviceTargets
from losses import LOSSES
from models import MODELS
from training.steps import Step

CPU = torch.device("cpu")
SHAPE, CLASSES = (1, 998, 20), 8


def trainer(model: nn.Module) -> Callable[[Iterable[Batch]], float]:
    """Trains on batches and returns the seconds."""
    step = Step(model, "student", {"bce": LOSSES["bce"]()}, {})
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def train(batches: Iterable[Batch]) -> float:
        began = time.perf_counter()
        for batch in batches:
            loss = step(batch)["loss"]
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        return time.perf_counter() - began

    return train


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(keep_cores(2))
    table = clip_table(arguments.clips, CLASSES, labels=2)
    with tempfile.TemporaryDirectory(prefix="soundstill_") as folder:
        cache = write_cache(Path(folder, "student"), table, SHAPE, shard_clips=64)

        def batches(gigabytes: float, prefetch: bool) -> Batches:
            features, rows = ClipFeatures(cache, table.ids, CPU, gigabytes), np.arange(len(table))
            features.normalise("global", rows)
            targets = DeviceTargets(table.targets, CPU)
            settings = (arguments.batch_size, 0)  # and a seed
            return Batches({"student": features}, targets, rows, *settings, prefetch=prefetch)

        torch.manual_seed(0)
        model = MODELS["dcase_small"](num_classes=CLASSES, input_shape=SHAPE)
        train = trainer(model.to(memory_format=torch.channels_last))
        plain, prefetched, resident = batches(0, False), batches(0, True), batches(100, False)
        ready = list(plain.epoch(0))
        contenders = {
            "in memory": lambda: train(ready),
            "from the cache": lambda: train(prefetched.epoch(0)),
            "without prefetch": lambda: train(plain.epoch(0)),
            "resident": lambda: train(resident.epoch(0)),
        }
        alternate(contenders, 1)
        seconds = medians(alternate(contenders, arguments.rounds))
    memory, cached = seconds["in memory"], seconds["from the cache"]
    report(
        "batches",
        arguments,
        ("batches", "clips per second", "relative to in memory"),
        [(name, arguments.clips / value, memory / value) for name, value in seconds.items()],
        {
            "throughput_ratio": memory / cached,
            "without_prefetch_ratio": memory / seconds["without prefetch"],
            "resident_ratio": memory / seconds["resident"],
            "clips_per_second": arguments.clips / cached,
        },
    )


if __name__ == "__main__":
    main()
