"""Centred kernel alignment of the embeddings."""

from torch import Tensor

from losses.loss import Loss
from losses.sp import gram, row_normalised


class CentredKernelAlignment(Loss):
    r"""One minus the linear CKA of the embeddings of a batch.

    .. math:: 1 - \frac{\langle H X X^\top H,\ H Y Y^\top H \rangle_F}
              {\lVert H X X^\top H \rVert_F \, \lVert H Y Y^\top H \rVert_F}

    H subtracts the mean over the clips. It does not depend on rotations and the scale of either.

    Source: Kornblith et al., ICML 2019, arXiv:1905.00414, with linear kernels.
    Differs: embeddings that are all equal have the alignment 0 instead of 0 / 0.
    Shapes: student embeddings (B, D), teacher embeddings (B, D') -> (). One for B = 1.
    """

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        student, teacher = map(centred_gram, (student_embedding, teacher_embedding))
        return 1 - (row_normalised(student) * row_normalised(teacher)).sum()


def centred_gram(x: Tensor) -> Tensor:
    """(B, D) -> (1, B * B)"""
    return gram(x - x.mean(dim=0)).reshape(1, -1)
