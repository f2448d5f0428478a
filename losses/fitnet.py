"""FitNet: the student's feature map predicts the teacher's, through an adapter."""

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from losses.grids import channels, check_grids, on_one_grid
from losses.loss import Loss


class FitNet(Loss):
    r"""The squared difference of the teacher's last map and an adapted map of the student.

    .. math:: \frac{1}{2n} \lVert F_t - r(F_s) \rVert^2

    The adapter :math:`r` is a linear map of the channels with a bias, trained with the student.

    Source: Romero et al., ICLR 2015, arXiv:1412.6550, eq. 3.
    Differs: the last map and not one in the middle; the adapter is a 1 x 1 convolution, and maps of
    different sizes are averaged over the coarser grid, where the paper chooses the kernel that
    makes them equal; a term of the sum and not a stage before the training; the mean over the n
    entries, where the paper has the sum.
    Shapes: student map (B, C, T, F), teacher map (B, C', T', F'), or (B, N, D), (B, N', D') -> ().
    """

    adapter: nn.Linear

    def build(self, shapes: Mapping[str, Any]) -> None:
        student, teacher = shapes["student_map"], shapes["teacher_map"]
        check_grids("fitnet", student, teacher)
        self.adapter = nn.Linear(channels(student), channels(teacher))

    def forward(self, student_map: Tensor, teacher_map: Tensor) -> Tensor:
        student, teacher = on_one_grid(student_map, teacher_map)
        return F.mse_loss(self.adapter(student.movedim(1, -1)), teacher.movedim(1, -1)) / 2
