"""A teacher input of two clips of the same class, one after the other."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from data.loading.batches import ClipFeatures


class ConcatenatedClips:
    """The features of each clip of `rows`, followed by those of a random clip of its class.

    The partner is chosen once, so the teacher's outputs are the same in every epoch. The only clip
    of a class is followed by itself.

    Source: Heo et al., arXiv:1904.10135, and Jung et al., DCASE 2019 Task 1a.
    Differs: there the partner is random in every epoch.
    Shapes: rows (N,), labels (N,); indexed with (B,) gives (B, C, 2 T, F) or (B, C, 2 S).
    """

    def __init__(
        self, features: ClipFeatures, rows: np.ndarray, labels: np.ndarray, seed: int
    ) -> None:
        self.features, self.device = features, features.device
        self.partner = torch.full((int(rows.max()) + 1,), -1)
        generator = np.random.default_rng(seed)
        for label in np.unique(labels):
            same_class = generator.permutation(rows[labels == label])
            self.partner[same_class] = torch.as_tensor(np.roll(same_class, 1))

    def __getitem__(self, rows: Tensor) -> Tensor:
        return torch.cat([self.features[rows], self.features[self.partner[rows.cpu()]]], dim=2)

    def fingerprint(self) -> str:
        return hashlib.sha256(self.partner.numpy().tobytes()).hexdigest()
