"""Similarity-preserving distillation from feature maps."""

import torch
from torch import Tensor

from losses.loss import Loss


class SimilarityPreserving(Loss):
    r"""The pairwise similarities of the clips in student and teacher should be equal.

    .. math:: \frac{1}{B^2} \lVert \hat G_t - \hat G_s \rVert_F^2, \quad
              G = F F^\top, \ \hat G \text{ with rows of length 1}

    Source: Tung & Mori, ICCV 2019, eq. 3-5. The published urban sound tagging system divides the
    columns instead: G is symmetric, so the value is the same.
    Differs: a row of zeros (a clip whose map is all zero) stays zero instead of giving 0 / 0.
    Shapes: student map (B, ...), inner products of the teacher's maps (B, B) -> (). The trailing
    sizes of the maps may differ. Zero for B = 1.
    """

    def forward(self, student_map: Tensor, teacher_map_gram: Tensor) -> Tensor:
        difference = row_normalised(teacher_map_gram) - row_normalised(gram(student_map))
        return difference.square().mean()  # mean over the B x B entries is 1 / B^2


def gram(maps: Tensor) -> Tensor:
    """(B, ...) -> (B, B), the inner products of the clips."""
    features = maps.flatten(start_dim=1)
    return features @ features.T


def row_normalised(rows: Tensor) -> Tensor:
    """(..., D) with rows of length 1, or 0."""
    norm = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    # Added to the norm, an epsilon would send gradients of 1 / epsilon into a row of zeros.
    return rows / torch.where(norm > 0, norm, 1.0)
