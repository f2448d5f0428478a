"""Attention transfer: where the maps have their energy."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from config import ConfigError
from losses.grids import check_grids, on_one_grid
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

    Source: Zagoruyko & Komodakis, ICLR 2017, arXiv:1612.03928, eq. 2, with p = 2.
    Differs: the square of the norm, as in the authors' code; the mean over the clips.
    Shapes: student maps and teacher maps, each (B, C, T, F) or (B, N, D) -> ().
    """

    def __init__(self, *, pairs: int = 0) -> None:
        super().__init__()
        self.pairs = pairs

    def build(self, shapes: Mapping[str, Any]) -> None:
        student, teacher = shapes["student_maps"], shapes["teacher_maps"]
        fewer = min(len(student), len(teacher))
        if not 0 <= self.pairs <= fewer:
            raise ConfigError("pairs", f"found {self.pairs}, expected 0 to {fewer}")
        self.pairs = self.pairs or fewer
        for pair in zip(student[-self.pairs :], teacher[-self.pairs :], strict=True):
            check_grids("at", *pair)

    def forward(self, student_maps: tuple[Tensor, ...], teacher_maps: tuple[Tensor, ...]) -> Tensor:
        chosen = zip(student_maps[-self.pairs :], teacher_maps[-self.pairs :], strict=True)
        terms = [(s - t).square().sum() for s, t in (attention(*pair) for pair in chosen)]
        return torch.stack(terms).sum() / (2 * len(student_maps[0]))


def attention(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C, T, F) or (B, N, D) of each -> (B, cells) of each, rows of length 1."""
    axis = 1 if student.ndim == 4 else 2
    energies = (one.square().mean(dim=axis, keepdim=True) for one in (student, teacher))
    student, teacher = on_one_grid(*energies)
    return row_normalised(student.flatten(1)), row_normalised(teacher.flatten(1))
