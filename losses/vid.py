"""Variational information distillation: a Gaussian model of the teacher's map."""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses.grids import channels, check_grids, on_one_grid
from losses.loss import Loss

INITIAL, SMALLEST = 5.0, 1e-5  # of the variances


class VariationalInformation(Loss):
    r"""The negative log-likelihood of the teacher's last map under Gaussians of learnt variances.

    .. math:: \frac{1}{n} \sum \frac{(t_c - \mu_c(F_s))^2}{2 \sigma_c^2}
              + \frac{1}{2} \log \sigma_c^2, \quad \sigma_c^2 = \log(1 + e^{\alpha_c}) + 10^{-5}

    The mean :math:`\mu` is three linear maps of the channels with ReLU between them. It and
    :math:`\alpha`, one for each channel c of the teacher, are trained with the student.

    Source: Ahn et al., CVPR 2019, arXiv:1904.05835; the widths and the first variance, 5, are
    those of their code.
    Differs: the last map and not several. Maps of different sizes are averaged over the coarser
    grid. Constants are left out: it is not zero where student and teacher agree.
    Shapes: student map (B, C, T, F), teacher map (B, C', T', F'), or (B, N, D), (B, N', D') -> ().
    """

    mean: nn.Module
    raw_variance: nn.Parameter

    def build(self, shapes: Mapping[str, Any]) -> None:
        check_grids("vid", shapes["student_map"], shapes["teacher_map"])
        student, teacher = channels(shapes["student_map"]), channels(shapes["teacher_map"])
        sizes = ((student, teacher), (teacher, teacher), (teacher, teacher))
        first, second, third = (nn.Linear(*pair, bias=False) for pair in sizes)
        self.mean = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
        raw = math.log(math.expm1(INITIAL - SMALLEST))
        self.raw_variance = nn.Parameter(torch.full((teacher,), raw))

    def forward(self, student_map: Tensor, teacher_map: Tensor) -> Tensor:
        student, teacher = on_one_grid(student_map, teacher_map)
        variance = F.softplus(self.raw_variance) + SMALLEST
        squares = (teacher.movedim(1, -1) - self.mean(student.movedim(1, -1))).square()
        return (squares / variance + variance.log()).mean() / 2
