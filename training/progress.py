"""What a training shows while it runs: a bar on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from tqdm import tqdm

from training.distributed import rank
from training.plan import Training

BAR = "{desc}: {percentage:3.0f}% {bar} {remaining}{postfix}"  # with the score in 80 columns


class Counter:
    """Numbers the trainings of one command: `training 4 of 9: student bce+kd seed 1`."""

    def __init__(self, total: int) -> None:
        self.number, self.total = 0, total

    def title(self, training: Training) -> str:
        self.number += 1
        return f"training {self.number} of {self.total}: {training.title}"


class ProgressBar:
    """One step per batch, over all epochs of a training; `epoch` of them are finished already.

    Only rank 0 shows it. The loss is read from the device only when the bar is drawn.
    """

    def __init__(self, title: str, epochs: int, batches: int, epoch: int) -> None:
        self.title, self.epochs = title, epochs
        self.bar = tqdm(
            total=epochs * batches,
            initial=epoch * batches,
            desc=title.removeprefix("training "),
            bar_format=BAR,
            dynamic_ncols=True,
            mininterval=0.5,
            disable=rank() > 0 or epochs == 0 or None,  # None: where stderr is no terminal
        )
        self.shown: dict[str, str] = {}

    def end_batch(self, loss: Tensor) -> None:
        if self.bar.update():
            self.shown["loss"] = f"{float(loss.detach()):.3f}"
            self.bar.set_postfix(self.shown, refresh=False)

    def end_epoch(self, row: Mapping[str, Any]) -> None:
        """`row`: of the history."""
        hidden = ("epoch", "learning_rate", "seconds")
        figures = {k: v for k, v in row.items() if k not in hidden and v is not None}
        self.shown = {k: f"{figures[k]:.3f}" for k in ("loss", "score") if k in figures}
        self.bar.set_postfix(self.shown)
        if self.bar.disable and rank() == 0:
            listed = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
            line = f"{self.title}: epoch {row['epoch']} of {self.epochs}, {listed}"
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        self.bar.close()
