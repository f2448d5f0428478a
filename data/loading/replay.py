"""Augmented views of the training clips that are sampled once and reused in every epoch."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import torch
from torch import Tensor

from config import flat_items
from data.augment import Augmentation, AugmentParams
from data.loading.positions import positions_of

PARTNERS = ("partner", "style_partner", "wave_partner")


class Replay:
    """A fixed number of augmented views of each clip of `rows`, sampled from `seed`.

    The parameters, mixing partners included, depend on the clip and the view only: a view is the
    same in every batch and epoch, so stored teacher outputs remain valid.

    Source: Dinkel et al., arXiv:2308.11957, who store a teacher's predictions of several augmented
    views of each clip and train the student on these views alone.
    Differs: the parameters are stored, not their seeds; in a view, a mixup mixes each clip with one
    other clip, and each is the partner of one.
    """

    def __init__(self, augmentation: Augmentation, rows: np.ndarray, views: int, seed: int) -> None:
        self.augmentation, self.rows = augmentation, torch.as_tensor(rows)
        self.position = positions_of(rows)
        self.params = [self.sample(seed, view) for view in range(views)]

    def __len__(self) -> int:
        return len(self.params)

    def sample(self, seed: int, view: int) -> AugmentParams:
        """One row per clip, in the order of `rows`; partners are positions in `rows`."""
        generator = torch.Generator().manual_seed(-1 - seed * 1_000_003 - view)  # no epoch's
        order = torch.randperm(len(self.rows), generator=generator)
        params = self.augmentation.sample(self.rows[order], generator)
        row_of = order.argsort()
        partners = {name: order[getattr(params, name)][row_of] for name in PARTNERS}
        return dataclasses.replace(params[row_of], **partners)

    def take(self, rows: Tensor, view: int) -> tuple[Tensor, AugmentParams]:
        """The clips to gather, first `rows`, then their partners, and the parameters.

        Shapes: as AugmentParams.take.
        """
        sources, params = self.params[view].take(self.position[rows])
        return self.rows[sources], params

    def fingerprint(self, view: int) -> str:
        """Of all that a view depends on but the features: its parameters, and how they are
        rendered, from the settings, the length of the output and the impulse responses.
        """
        augmentation = self.augmentation
        rendered = flat_items(augmentation.settings), augmentation.output_seconds
        digest = hashlib.sha256(repr(rendered).encode())
        if augmentation.responses:
            digest.update(augmentation.responses.fingerprint().encode())
        for field in dataclasses.fields(AugmentParams):
            digest.update(getattr(self.params[view], field.name).numpy().tobytes())
        return digest.hexdigest()
