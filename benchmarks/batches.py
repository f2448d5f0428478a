"""What batches from the disk cost: training epochs from the cache against ready tensors in memory.

    python -m benchmarks.batches

An epoch is DCASE Small's forward pass, loss, backward pass and step on ten seconds in 20 bands,
normalised: the cheapest model that is distilled in earnest. `in memory` trains on batches that were
made before the clock started. `from the cache` maps shards (which lie in the page cache of the
system: what is measured is our work, not the disk's), `without prefetch` gathers in the training
thread, `resident` keeps the whole cache as one tensor. All train on the same clips in the same
order.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.measure import command_line, keep_cores, medians, report, take_turns
from benchmarks.synthetic import clip_table, write_cache
from data.loading.batches import Batch, Batches, ClipFeatures, DeviceTargets
from losses import LOSSES
from models import MODELS
from training.steps import Step

CPU = torch.device("cpu")
SHAPE, CLASSES = (1, 998, 20), 8


def trainer(model: nn.Module) -> Callable[[Iterable[Batch]], float]:
    """Trains on batches and gives the seconds."""
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
            view, rows = ClipFeatures(cache, table.ids, CPU, gigabytes), np.arange(len(table))
            view.normalise("global", rows)
            targets = DeviceTargets(table.targets, CPU)
            settings = (arguments.batch_size, 0)  # and a seed
            return Batches({"student": view}, targets, rows, *settings, prefetch=prefetch)

        torch.manual_seed(0)
        model = MODELS["dcase_small"](num_classes=CLASSES, input_shape=SHAPE)
        train = trainer(model.to(memory_format=torch.channels_last))
        plain, ahead, resident = batches(0, False), batches(0, True), batches(100, False)
        ready = list(plain.epoch(0))
        contenders = {
            "in memory": lambda: train(ready),
            "from the cache": lambda: train(ahead.epoch(0)),
            "without prefetch": lambda: train(plain.epoch(0)),
            "resident": lambda: train(resident.epoch(0)),
        }
        take_turns(contenders, 1)
        seconds = medians(take_turns(contenders, arguments.rounds))
    memory, cache = seconds["in memory"], seconds["from the cache"]
    report(
        "batches",
        arguments,
        ("batches", "clips per second", "of in memory"),
        [(name, arguments.clips / value, memory / value) for name, value in seconds.items()],
        {
            "throughput_ratio": memory / cache,
            "without_prefetch_ratio": memory / seconds["without prefetch"],
            "resident_ratio": memory / seconds["resident"],
            "clips_per_second": arguments.clips / cache,
        },
    )


if __name__ == "__main__":
    main()
