"""Which clips an epoch has, and their order."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from config import UserError
from data.tables.targets import Targets


class Sampler(Protocol):
    def __len__(self) -> int:
        """The number of clips per epoch."""

    def order(self, generator: torch.Generator) -> Tensor:
        """Their positions in the clip table, for one epoch, random by the generator: (len,)."""


class Shuffled:
    """Every clip of `rows` once."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = torch.as_tensor(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def order(self, generator: torch.Generator) -> Tensor:
        return permuted(self.rows, generator)


class Repeated:
    """`num_samples` clips: those of `rows` again and again, each time in another order."""

    def __init__(self, rows: np.ndarray, num_samples: int) -> None:
        self.rows, self.num_samples = torch.as_tensor(rows), num_samples

    def __len__(self) -> int:
        return self.num_samples

    def order(self, generator: torch.Generator) -> Tensor:
        rounds = -(-len(self) // len(self.rows))
        return torch.cat([permuted(self.rows, generator) for _ in range(rounds)])[: len(self)]


class HalfAndHalf:
    """Batches of which one half are clips of `target`, each once per epoch, and one half a random
    choice from `others`.

    Source: the specialists of Jung et al., DCASE 2019 Task 1a.
    Shapes: target (M,), others (N,) positions in the clip table -> 2 M per epoch.
    Raises UserError where either is empty.
    """

    def __init__(self, target: np.ndarray, others: np.ndarray, batch_size: int) -> None:
        if not len(target) or not len(others):
            found = f"found {len(target)} and {len(others)}"
            raise UserError(f"expected clips of the pair and of other classes, {found}")
        self.target, self.others = torch.as_tensor(target), torch.as_tensor(others)
        self.half = batch_size // 2

    def __len__(self) -> int:
        return 2 * len(self.target)

    def order(self, generator: torch.Generator) -> Tensor:
        target = permuted(self.target, generator)
        rounds = -(-len(target) // len(self.others))
        others = torch.cat([permuted(self.others, generator) for _ in range(rounds)])
        halves = zip(target.split(self.half), others[: len(target)].split(self.half), strict=True)
        return torch.cat([part for pair in halves for part in pair])


class Balanced:
    r"""Sampling with replacement, with weights that balance the classes.

    .. math:: w_i = \sum_{k \in y_i} \frac{1000}{n_k + 0.01}

    for the labels y_i of clip i and the n_k clips of class k; a target of 0.5 or more is a label. A
    clip without labels has the weight 0. `num_samples` per epoch; 0: as many as there are clips.

    Source: Gong et al., PSLA, arXiv:2102.01243, section III-B.
    Shapes: rows (N,) positions in the clip table, targets (N, K) theirs.
    Raises UserError where no clip has a label.
    """

    def __init__(self, rows: np.ndarray, targets: Targets, num_samples: int = 0) -> None:
        self.rows, self.num_samples = torch.as_tensor(rows), num_samples or len(rows)
        labels = targets.matrix >= 0.5
        weights = labels @ (1000 / (labels.sum(axis=0) + 0.01))
        if not labels.nnz:
            raise UserError("SAMPLING = balanced requires labels; no training clip has one")
        self.cumulative = torch.from_numpy(weights.cumsum())

    def __len__(self) -> int:
        return self.num_samples

    def order(self, generator: torch.Generator) -> Tensor:
        points = (
            torch.rand(len(self), generator=generator, dtype=torch.float64) * self.cumulative[-1]
        )
        found = torch.searchsorted(self.cumulative, points, right=True)
        return self.rows[found.clamp(max=len(self.rows) - 1)]


def permuted(rows: Tensor, generator: torch.Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)]
