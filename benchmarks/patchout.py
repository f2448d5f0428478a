"""Seconds and memory that patchout saves in a training step of PaSST.

    python -m benchmarks.patchout
    python -m benchmarks.patchout --size base --batch-size 64    # on a GPU

`full` trains on all 99 x 12 patches of 10 s, `structured` without 40 columns and 4 rows of them, as
published, `unstructured` without the same number of random patches. A step is forward pass, loss,
backward pass and Adam, in float32. On a CPU, seconds are CPU time on one core, and bytes are those
that autograd stores for the backward pass, without the parameters. On a GPU (in bfloat16), seconds
are elapsed time, and bytes are the peak allocation of the step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from benchmarks.measure import alternate, command_line, keep_cores, medians, report
from losses import LOSSES
from models import MODELS
from models.vision_transformer import SIZES
from training.device import choose_device, forward_precision

SHAPE, CLASSES, PATCHES = (1, 998, 128), 527, 99 * 12
LEFT = (99 - 40) * (12 - 4)
CONTENDERS = {
    "full": {},
    "structured": {"patchout_time": 40, "patchout_frequency": 4},
    "unstructured": {"patchout": PATCHES - LEFT},
}


class Training:
    """A model, its optimiser and a constant batch."""

    def __init__(self, size: str, options: dict[str, int], clips: int, device: torch.device):
        torch.manual_seed(0)
        model = MODELS["passt"](num_classes=CLASSES, input_shape=SHAPE, size=size, **options)
        self.model, self.device = model.to(device).train(), device
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-5)
        self.clips = torch.randn(clips, *SHAPE, device=device)
        self.targets = torch.zeros(clips, CLASSES, device=device)
        self.loss = LOSSES["bce"]()

    def forward(self) -> torch.Tensor:
        precision: Literal["float32", "bfloat16"] = (
            "bfloat16" if self.device.type == "cuda" else "float32"
        )
        with forward_precision(self.device, precision):
            logits = self.model(self.clips).logits
        return self.loss(logits.float(), self.targets)

    def step(self) -> None:
        loss = self.forward()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()

    def seconds(self) -> float:
        if self.device.type != "cuda":
            began = time.process_time()
            self.step()
            return time.process_time() - began
        torch.cuda.synchronize()
        began = time.perf_counter()
        self.step()
        torch.cuda.synchronize()
        return time.perf_counter() - began

    def memory(self) -> int:
        if self.device.type != "cuda":
            return saved_bytes(self.model, self.forward)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        self.step()
        return torch.cuda.max_memory_allocated() - before


def saved_bytes(model: nn.Module, forward: Callable[[], torch.Tensor]) -> int:
    """Bytes that autograd stores until the backward pass: each storage once, no parameters."""
    storages = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = forward()  # keeps the storages alive, so no address is reused
    for parameter in model.parameters():
        storages.pop(parameter.untyped_storage().data_ptr(), None)
    del loss
    return sum(storages.values())


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(keep_cores(1))
    device = choose_device("auto")
    trainings = {
        name: Training(arguments.size, options, arguments.batch_size, device)
        for name, options in CONTENDERS.items()
    }
    contenders = {name: training.seconds for name, training in trainings.items()}
    alternate(contenders, 1)
    seconds = medians(alternate(contenders, arguments.rounds))
    memory = {name: training.memory() for name, training in trainings.items()}
    full = seconds["full"], memory["full"]
    rows = [
        (
            name,
            1000 * seconds[name],
            arguments.batch_size / seconds[name],
            seconds[name] / full[0],
            memory[name] / 1e6,
            memory[name] / full[1],
        )
        for name in CONTENDERS
    ]
    figures: dict[str, float] = {"patches_over_full": LEFT / PATCHES}
    for name, _, clips_per_second, time_share, _, memory_share in rows[1:]:
        figures |= {
            f"{name}_clips_per_second": clips_per_second,
            f"{name}_seconds_over_full": time_share,
            f"{name}_bytes_over_full": memory_share,
        }
    columns = ("patches", "ms", "clips per second", "relative to full", "MB", "relative to full")
    csv_row = {"model": f"passt {arguments.size}, {arguments.batch_size} clips", **figures}
    report("patchout", arguments, columns, rows, figures, [csv_row])


if __name__ == "__main__":
    main()
