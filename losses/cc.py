"""Correlation congruence: equal kernel matrices of the embeddings of a batch."""

import math

import torch
from torch import Tensor

from losses.loss import Loss, check_positive
from losses.sp import row_normalised

ORDER = 2  # of the Taylor series


class CorrelationCongruence(Loss):
    r"""The squared difference of the Gaussian kernels of the embeddings, by their Taylor series.

    .. math:: \frac{1}{B^2} \lVert K_s - K_t \rVert_F^2, \quad
              k(x, y) = e^{-2 \gamma} \sum_{p=0}^{2} \frac{(2 \gamma)^p}{p!} (x^\top y)^p

    for embeddings of length 1.

    Options:
        gamma: :math:`\gamma`, the inverse width of the kernel.

    Source: Peng et al., ICCV 2019, arXiv:1904.01802; order 2 and gamma 0.4 there.
    Shapes: student embeddings (B, D), teacher embeddings (B, D') -> ().
    """

    def __init__(self, *, gamma: float = 0.4) -> None:
        super().__init__()
        check_positive(gamma=gamma)
        self.gamma = gamma

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        return (self.kernel(student_embedding) - self.kernel(teacher_embedding)).square().mean()

    def kernel(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, B)"""
        unit, twice = row_normalised(x), 2 * self.gamma
        cosines = unit @ unit.T
        terms = [twice**p / math.factorial(p) * cosines**p for p in range(ORDER + 1)]
        return math.exp(-twice) * torch.stack(terms).sum(dim=0)
