"""Attention transfer: where the maps have their energy."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from config import ConfigError, UserError
from losses.grids import pooled
from losses.loss import Loss
from losses.sp import row_normalised


class AttentionTransfer(Loss):
    r"""The squared difference of the attention maps of student and teacher, over several maps.

    .. math:: \frac{1}{2B} \sum_j \sum_i \lVert a^s_{ij} - a^t_{ij} \rVert^2, \quad
              a = \frac{q}{\lVert q \rVert}, \quad q = \frac{1}{C} \sum_c F_c^2

    The deepest maps of both are a pair, the ones before them the next, and so on. An attention map
    is averaged over the coarser grid of its pair.

    Options:
        pairs: how many, from the deepest; 0: as many as the shallower network has maps.

    Source: Zagoruyko & Komodakis, ICLR 2017, arXiv:1612.03928, eq. 2; p = 2.
    Differs: the square of the norm, as in the authors' code; the mean over the clips. Of a teacher
    of single clips, mixed clips have the mixed energies q.
    Shapes: student maps, each (B, C, T, F) or (B, N, D), teacher energies, each (B, T', F') or
    (B, N') -> ().
    """

    def __init__(self, *, pairs: int = 0) -> None:
        super().__init__()
        self.pairs = pairs

    def build(self, shapes: Mapping[str, Any]) -> None:
        student, teacher = shapes["student_maps"], shapes["teacher_energies"]
        fewer = min(len(student), len(teacher))
        if not 0 <= self.pairs <= fewer or not fewer:
            raise ConfigError("pairs", f"found {self.pairs}, expected 0 to {fewer}")
        self.pairs = self.pairs or fewer
        for mine, others in zip(student[-self.pairs :], teacher[-self.pairs :], strict=True):
            if len(mine) != 1 + len(others):
                raise UserError("at: expected maps with a grid of both networks, or tokens of both")

    def forward(
        self, student_maps: tuple[Tensor, ...], teacher_energies: tuple[Tensor, ...]
    ) -> Tensor:
        student, teacher = energies(student_maps[-self.pairs :]), teacher_energies[-self.pairs :]
        terms = [
            (mine - others).square().sum() for mine, others in map(attention, student, teacher)
        ]
        return torch.stack(terms).sum() / (2 * len(student[0]))


def energies(maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The mean of the squares over the channels: each (B, C, T, F) -> (B, T, F), or (B, N, D) ->
    (B, N).
    """
    return tuple(one.square().mean(dim=1 if one.ndim == 4 else -1) for one in maps)


def attention(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Energies (B, T, F) or (B, N) of each -> (B, cells) of each, rows of length 1."""
    sizes = [min(pair) for pair in zip(student.shape[1:], teacher.shape[1:], strict=True)]
    mine, others = (pooled(one[:, None], sizes).flatten(1) for one in (student, teacher))
    return row_normalised(mine), row_normalised(others)
