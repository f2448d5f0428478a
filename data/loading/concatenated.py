"""A teacher's view of a clip and of another of its class, one after the other."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from data.loading.batches import ClipFeatures


class Joined:
    """`view`, in which each clip of `rows` is followed by another of its class, drawn once.

    What a teacher says of it is the same in every epoch. A clip that is alone in its class is
    followed by itself.

    Source: Heo et al., arXiv:1904.10135, and Jung et al., DCASE 2019 Task 1a.
    Differs: there another clip is drawn in every epoch.
    Shapes: rows (N,), labels (N,); indexed with (B,) gives (B, C, 2 T, F) or (B, C, 2 S).
    """

    def __init__(self, view: ClipFeatures, rows: np.ndarray, labels: np.ndarray, seed: int) -> None:
        self.view, self.device = view, view.device
        self.partner = torch.full((int(rows.max()) + 1,), -1)
        generator = np.random.default_rng(seed)
        for label in np.unique(labels):
            alike = generator.permutation(rows[labels == label])
            self.partner[alike] = torch.as_tensor(np.roll(alike, 1))

    def __getitem__(self, rows: Tensor) -> Tensor:
        return torch.cat([self.view[rows], self.view[self.partner[rows.cpu()]]], dim=2)

    def fingerprint(self) -> str:
        return hashlib.sha256(self.partner.numpy().tobytes()).hexdigest()
