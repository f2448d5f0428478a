"""Regression of the teacher's embedding."""

from collections.abc import Mapping
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from losses.loss import Loss
from losses.sp import row_normalised


class EmbeddingRegression(Loss):
    r"""The squared difference of the embeddings, or one minus their cosine.

    .. math:: \frac{1}{BD} \lVert X_t - r(X_s) \rVert^2 \quad \text{or} \quad
              \frac{1}{B} \sum_i 1 - \cos(t_i, r(s_i))

    r is a linear adapter with a bias, trained with the student, where the sizes of the embeddings
    differ, and the identity where they do not.

    Options:
        kind: `mse` or `cosine`.

    Source: Romero et al., ICLR 2015, arXiv:1412.6550, eq. 3; here on embeddings. Both kinds are
    options in the code of Jung et al., IEEE Access 2020, doi:10.1109/ACCESS.2020.3021711.
    Shapes: student embeddings (B, D), teacher embeddings (B, D') -> ().
    """

    adapter: nn.Module

    def __init__(self, *, kind: Literal["mse", "cosine"] = "mse") -> None:
        super().__init__()
        self.kind = kind

    def build(self, shapes: Mapping[str, Any]) -> None:
        (student,), (teacher,) = shapes["student_embedding"], shapes["teacher_embedding"]
        self.adapter = nn.Identity() if student == teacher else nn.Linear(student, teacher)

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        student = self.adapter(student_embedding)
        if self.kind == "mse":
            return F.mse_loss(student, teacher_embedding)
        cosines = (row_normalised(student) * row_normalised(teacher_embedding)).sum(dim=1)
        return 1 - cosines.mean()
