"""Disturbed views of the training clips that are drawn once and heard again and again."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import torch
from torch import Tensor

from data.augment import Augmentation, AugmentParams

PARTNERS = ("partner", "style_partner")


class Replay:
    """A number of disturbances of each clip of `rows`, drawn from `seed` once and for all.

    What is drawn belongs to the clip, its partner for mixing among it, and to nothing else: a view
    of a clip is the same in every batch and epoch, and what a teacher said of it stays true.

    Source: Dinkel et al., arXiv:2308.11957, who store a teacher's predictions of several augmented
    views of each clip and train the student on these views alone.
    Differs: the disturbances are stored, where they store the seeds of them; a clip is mixed with
    one other clip in a view, and each is mixed into one.
    """

    def __init__(self, augmentation: Augmentation, rows: np.ndarray, views: int, seed: int) -> None:
        self.augmentation, self.rows = augmentation, torch.as_tensor(rows)
        self.position = torch.full((int(rows.max()) + 1,), len(rows))  # no position: out of range
        self.position[self.rows] = torch.arange(len(rows))
        self.drawn = [self.draw(seed, view) for view in range(views)]

    def __len__(self) -> int:
        return len(self.drawn)

    def draw(self, seed: int, view: int) -> AugmentParams:
        """A row a clip, in the order of `rows`; partners are positions in `rows`."""
        generator = torch.Generator().manual_seed(-1 - seed * 1_000_003 - view)  # no epoch's
        order = torch.randperm(len(self.rows), generator=generator)
        drawn = self.augmentation.sample(self.rows[order], generator)
        row_of = order.argsort()
        partners = {name: order[getattr(drawn, name)][row_of] for name in PARTNERS}
        return dataclasses.replace(drawn[row_of], **partners)

    def take(self, rows: Tensor, view: int) -> tuple[Tensor, AugmentParams]:
        """The clips to gather, those of `rows` before any they are mixed with, and what is drawn.

        Shapes: as AugmentParams.take.
        """
        heard, drawn = self.drawn[view].take(self.position[rows])
        return self.rows[heard], drawn

    def fingerprint(self, view: int) -> str:
        """Of all that is drawn for a view, what masks are filled with and the responses."""
        digest = hashlib.sha256(self.augmentation.settings.mask_with.encode())
        if self.augmentation.responses:
            digest.update(self.augmentation.responses.fingerprint().encode())
        for field in dataclasses.fields(AugmentParams):
            digest.update(getattr(self.drawn[view], field.name).numpy().tobytes())
        return digest.hexdigest()
