"""Training speed of each model on a GPU, and its bottleneck.

    python -m benchmarks.gpu

For each model in MODELS, on mels of ten seconds (1 x 998 x 64; 1 x 1024 x 128 and 527 classes for
EfficientNet-B2 and AST-base; 1 x 998 x 128 and the published patchout for PaSST-S), of one second
(1 x 65 x 256, CP-Mobile) or raw waveforms of three seconds of stereo at 48 kHz (2 x 144000), a
training step is forward pass, loss, backward pass and a fused Adam. Contenders alternate: float32
and bfloat16 (autocast), each eager, compiled, and compiled into CUDA graphs ([run] COMPILE =
reduce-overhead). Then epochs of one model: from caches resident on the device, and loaded
from the memory map through pinned memory by a thread.

- share of the peak: 6 x multiply-accumulates x clips per second (a multiplication and an addition,
  once forwards and twice backwards), over the dense bfloat16 peak of the card's data sheet;
- share of the attainable: the same over the measured rate of an 8192 x 8192 product;
- busy: the share of the time in which a kernel runs. Below 0.7 a model is bound by kernel launches,
  above it by the kernels (small channel counts and memory traffic rather than products).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from benchmarks.measure import alternate, command_line, medians, report, rounded
from benchmarks.synthetic import clip_table, write_cache
from data.loading.batches import Batches, ClipFeatures, DeviceTargets
from losses import LOSSES
from models import MODELS
from models.cost import cost
from training.device import compiler, forward_precision

SHAPE, CLASSES = (1, 998, 64), 8
AUDIOSET = {"shape": (1, 1024, 128), "classes": 527}
SETTINGS: dict[str, dict[str, Any]] = {  # of models without the default settings
    "cp_mobile": {"shape": (1, 65, 256), "classes": 10},
    "ast": {**AUDIOSET, "largest_batch": 48},
    "efficientnet": {**AUDIOSET, "largest_batch": 96, "options": {"variant": "b2"}},
    "passt": {
        "shape": (1, 998, 128),
        "classes": 527,
        "largest_batch": 96,
        "options": {"patchout_time": 40, "patchout_frequency": 4},
    },
    "raw_resnet": {"shape": (2, 144_000)},
}
MODES: dict[str, Literal["no", "default", "reduce-overhead"]] = {
    "eager": "no",
    "compiled": "default",
    "graphs": "reduce-overhead",
}
PRECISIONS: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
PEAK_TERAFLOPS = {  # dense bfloat16, from the data sheets
    "H200": 989.5,
    "H100 80GB HBM3": 989.5,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "RTX 4090": 165.2,
}
LAUNCH_BOUND = 0.7


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20, help="per contender and round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks.gpu requires a CUDA device, and torch finds none")
    device = torch.device("cuda")
    attainable = matmul_teraflops(device)
    peak = next((v for k, v in PEAK_TERAFLOPS.items() if k in torch.cuda.get_device_name()), None)
    rows, csv_rows = [], []
    for name in sorted(MODELS):
        found = model_figures(name, device, arguments, attainable, peak)
        csv_rows.append({"model": name, **found})
        rows.append([name, *found.values()])
    loaded = loaded_over_resident(device, arguments)
    figures = {
        "models": {row["model"]: {k: rounded(v) for k, v in row.items()} for row in csv_rows},
        "attainable_teraflops": attainable,
        "loaded_over_resident": loaded,
    }
    with_epochs = [row | {"loaded_over_resident": loaded} for row in csv_rows]
    report("gpu", arguments, ["model", *list(csv_rows[0])[1:]], rows, figures, with_epochs)


def matmul_teraflops(device: torch.device, size: int = 8192) -> float:
    """Of a large product in bfloat16: the attainable rate of this card."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))

    def multiply() -> None:
        for _ in range(20):
            torch.mm(a, b)
        torch.cuda.synchronize()

    multiply()
    seconds = medians(alternate({"product": multiply}, 5))["product"]
    return 20 * 2 * size**3 / seconds / 1e12


def built(name: str) -> tuple[nn.Module, tuple[int, ...], int]:
    """A model with its settings, the shape of a clip, and the number of classes."""
    settings = SETTINGS.get(name, {})
    shape, classes = settings.get("shape", SHAPE), settings.get("classes", CLASSES)
    model = MODELS[name](num_classes=classes, input_shape=shape, **settings.get("options", {}))
    return model, shape, classes


def training_step(
    name: str,
    device: torch.device,
    precision: Literal["float32", "bfloat16"],
    compiled: Callable[[nn.Module], nn.Module],
    batch_size: int,
) -> Callable[[], None]:
    """One step on a batch that is on the device."""
    torch.manual_seed(0)
    model, shape, classes = built(name)
    model = model.to(device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    loss, run = LOSSES["bce"](), compiled(model)
    clips = torch.randn(batch_size, *shape, device=device)
    if len(shape) == 3:
        clips = clips.contiguous(memory_format=torch.channels_last)
    targets = torch.randint(2, (batch_size, classes), device=device).float()

    def step() -> None:
        with forward_precision(device, precision):
            logits = run(clips).logits
        optimiser.zero_grad(set_to_none=True)
        loss(logits.float(), targets).backward()
        optimiser.step()

    return step


def model_figures(
    name: str,
    device: torch.device,
    arguments: argparse.Namespace,
    attainable: float,
    peak: float | None,
) -> dict[str, object]:
    batch_size = min(arguments.batch_size, SETTINGS.get(name, {}).get("largest_batch", 2**30))
    contenders, steps = {}, {}
    compilers = {way: compiler(mode, device) for way, mode in MODES.items()}
    for precision in PRECISIONS:
        for way, compiled in compilers.items():
            step = training_step(name, device, precision, compiled, batch_size)

            def several(step=step) -> None:
                for _ in range(arguments.steps):
                    step()
                torch.cuda.synchronize()

            contenders[f"{precision} {way}"] = several
            steps[f"{precision} {way}"] = step
    alternate(contenders, 1)  # compiles
    clips = batch_size * arguments.steps
    rates = {
        who: clips / value
        for who, value in medians(alternate(contenders, arguments.rounds)).items()
    }
    best = max(rates, key=rates.__getitem__)
    model, shape, _ = built(name)
    macs = cost(model, shape, training=True).macs
    teraflops = 6 * macs * max(rates[f"bfloat16 {way}"] for way in MODES) / 1e12
    busy = busy_share(steps[best], arguments.steps)
    bound = "launches" if busy < LAUNCH_BOUND else "memory traffic and small products"
    return {
        "clips_per_second": rates[best],
        "best": best,
        "share_of_peak": teraflops / peak if peak else float("nan"),
        "share_of_attainable": teraflops / attainable,
        "compiled_over_eager": rates["bfloat16 compiled"] / rates["bfloat16 eager"],
        "graphs_over_eager": rates["bfloat16 graphs"] / rates["bfloat16 eager"],
        "bfloat16_over_float32": rates["bfloat16 eager"] / rates["float32 eager"],
        "busy": busy,
        "bound_by": bound if teraflops < 0.3 * attainable else "products",
    }


def busy_share(step: Callable[[], None], count: int) -> float:
    """Time in kernels over the elapsed time of the same steps without the profiler."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(count):
        step()
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(count):
            step()
        torch.cuda.synchronize()
    kernels = sum(event.self_device_time_total for event in profile.key_averages())
    return min(1.0, kernels / 1e6 / seconds)


def loaded_over_resident(device: torch.device, arguments: argparse.Namespace) -> float:
    """Seconds of an epoch from the memory map over those of an epoch resident on the device."""
    table = clip_table(8 * arguments.batch_size, CLASSES, labels=2)
    with tempfile.TemporaryDirectory(prefix="soundstill_") as folder:
        cache = write_cache(Path(folder, "student"), table, SHAPE, shard_clips=512)
        epochs = {}
        for name, gigabytes in (("resident", 1e3), ("loaded", 0.0)):
            features = {"student": ClipFeatures(cache, table.ids, device, gigabytes)}
            targets = DeviceTargets(table.targets, device)
            rows = np.arange(len(table))
            batches = Batches(features, targets, rows, arguments.batch_size, 0)
            epochs[name] = lambda batches=batches: epoch(batches)
        torch.manual_seed(0)
        model = MODELS["dcase_small"](num_classes=CLASSES, input_shape=SHAPE)
        model = model.to(device).to(memory_format=torch.channels_last)
        optimiser, loss = torch.optim.Adam(model.parameters(), fused=True), LOSSES["bce"]()

        def epoch(batches: Batches) -> None:
            for batch in batches.epoch(0):
                with forward_precision(device, "bfloat16"):
                    logits = model(batch.inputs["student"]).logits
                optimiser.zero_grad(set_to_none=True)
                loss(logits.float(), batch.targets).backward()
                optimiser.step()
            torch.cuda.synchronize()

        alternate(epochs, 1)
        seconds = medians(alternate(epochs, arguments.rounds))
    return seconds["loaded"] / seconds["resident"]


if __name__ == "__main__":
    main()
