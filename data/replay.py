"""Disturbed views of the training clips that are drawn once and heard again and again."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import torch
from torch import Tensor

from data.augment import Augmentation, Drawn


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

    def draw(self, seed: int, view: int) -> Drawn:
        """A row a clip, in the order of `rows`; the partner is a position in `rows`."""
        generator = torch.Generator().manual_seed(-1 - seed * 1_000_003 - view)  # no epoch's
        order = torch.randperm(len(self.rows), generator=generator)
        drawn = self.augmentation.draw(len(self.rows), generator)
        row_of = order.argsort()
        return dataclasses.replace(drawn[row_of], partner=order[drawn.partner][row_of])

    def take(self, rows: Tensor, view: int) -> tuple[Tensor, Drawn]:
        """The clips to gather, those of `rows` before their partners, and what is drawn for them.

        Shapes: (B,) -> (2B,), or (B,) where nothing is mixed, and a Drawn of B rows.
        """
        drawn = self.drawn[view][self.position[rows]]
        own = torch.arange(len(rows))
        if not self.augmentation.settings.mixup:
            return rows, dataclasses.replace(drawn, partner=own)
        partners = self.rows[drawn.partner]
        return torch.cat([rows, partners]), dataclasses.replace(drawn, partner=len(rows) + own)

    def fingerprint(self, view: int) -> str:
        """Of all that is drawn for a view, and what masks are filled with, which is not drawn."""
        digest = hashlib.sha256(self.augmentation.settings.mask_with.encode())
        for field in dataclasses.fields(Drawn):
            digest.update(getattr(self.drawn[view], field.name).numpy().tobytes())
        return digest.hexdigest()
