"""Similarity-preserving distillation within a clip."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from losses.grids import check_grids, pooled
from losses.loss import Loss
from losses.sp import row_normalised


class IntraUtteranceSimilarity(Loss):
    r"""The pairwise similarities of the frames of a clip should be equal in student and teacher.

    .. math:: \frac{1}{B T^2} \sum_i \lVert \hat G^t_i - \hat G^s_i \rVert_F^2, \quad
              G_i = F_i F_i^\top, \ \hat G \text{ with rows of length 1}

    :math:`F_i` (T, C F) is the last map of clip i, a row for each frame.

    Source: Chang et al., Interspeech 2020, arXiv:2009.01759.
    Differs: maps with different numbers of frames are averaged over the coarser ones. Tokens
    without a grid count as frames.
    Shapes: student map (B, C, T, F), teacher map (B, C', T', F'), or (B, N, D), (B, N', D') -> ().
    """

    def build(self, shapes: Mapping[str, Any]) -> None:
        check_grids("iusp", shapes["student_map"], shapes["teacher_map"])

    def forward(self, student_map: Tensor, teacher_map: Tensor) -> Tensor:
        student, teacher = frames(student_map), frames(teacher_map)
        count = min(student.shape[2], teacher.shape[2])
        grams = (similarities(pooled(one, [count])) for one in (student, teacher))
        of_student, of_teacher = grams
        return (of_teacher - of_student).square().mean()


def frames(features: Tensor) -> Tensor:
    """(B, C, T, F) -> (B, C F, T), or (B, N, D) -> (B, D, N)"""
    if features.ndim == 3:
        return features.transpose(1, 2)
    return features.transpose(2, 3).flatten(1, 2)


def similarities(features: Tensor) -> Tensor:
    """(B, S, T) -> (B, T, T), rows of length 1."""
    return row_normalised(features.transpose(1, 2) @ features)
