"""Training the classifier of a frozen backbone: over cached embeddings, and behind the backbone.

    python -m benchmarks.linear_probe

`live` is an epoch in which the frozen backbone takes every clip, `cached` one over embeddings that
were computed before the timing, `embeddings` the pass that computes them: it should cost about as
much as the forward passes of one live epoch, and every later epoch close to nothing. On one core.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from benchmarks.distillation_step import BANDS, BATCH, CLASSES, MODEL, features_of, model_of
from benchmarks.measure import alternate, command_line, keep_cores, medians, report
from config import BACKBONE
from data.loading.batches import Batches, ClipFeatures
from losses import LOSSES
from models import MODELS
from models.freeze import freeze, training_mode
from training.embeddings import ClipEmbeddings, Head
from training.predict import forward_all
from training.steps import Step

FREEZE = (BACKBONE,)


class Epoch:
    """An epoch of a classifier's training."""

    def __init__(self, model: nn.Module, features: ClipFeatures, clips: int) -> None:
        generator = torch.Generator().manual_seed(1)
        targets = (torch.rand(clips, CLASSES, generator=generator) < 0.2).float()
        self.batches = Batches({"teacher": features}, targets, np.arange(clips), BATCH, seed=0)
        self.step = Step(model, "teacher", {"bce": LOSSES["bce"]()}, {})
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimiser, self.numbers = torch.optim.Adam(trained), itertools.count()

    def __call__(self) -> None:
        training_mode(self.step.model, FREEZE)
        for batch in self.batches.epoch(next(self.numbers)):
            self.optimiser.zero_grad()
            self.step(batch)["loss"].backward()
            self.optimiser.step()


def main() -> None:
    parser = command_line(__doc__ or "")
    parser.add_argument("--model", choices=sorted(MODELS), default=MODEL["teacher"])
    parser.add_argument("--bands", type=int, default=BANDS["teacher"])
    parser.add_argument("--batches", type=int, default=4, help="per epoch")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(keep_cores(1))
    clips = arguments.batches * BATCH
    features = features_of(arguments.bands, clips)
    model = model_of(arguments.model, features)
    model.requires_grad_(True)
    freeze(model, FREEZE)

    found = forward_all(model, features, np.arange(clips), "embedding")

    def embeddings() -> None:
        forward_all(model, features, np.arange(clips), "embedding")

    embedded = ClipEmbeddings(features, found.__getitem__, found.shape[1])
    contenders: dict[str, Callable[[], None]] = {
        "live": Epoch(model, features, clips),
        "cached": Epoch(Head(model), embedded, clips),
        "embeddings": embeddings,
    }
    alternate(contenders, 1)
    median = medians(alternate(contenders, arguments.rounds))
    figures = {
        "cached_over_live": median["cached"] / median["live"],
        "embeddings_over_live": median["embeddings"] / median["live"],
    }
    report(
        "linear_probe",
        arguments,
        ("contender", "ms per epoch", "relative to live"),
        [(name, 1000 * value, value / median["live"]) for name, value in median.items()],
        figures,
        [{"model": arguments.model, **figures}],
    )


if __name__ == "__main__":
    main()
