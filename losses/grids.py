"""Maps of student and teacher on the same grid."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from config import UserError


def channels(shape: Sequence[int]) -> int:
    """Of a map without the axis of the clips: C of (C, T, F), D of (N, D)."""
    return shape[-1] if len(shape) == 2 else shape[0]


def check_grids(loss: str, student: Sequence[int], teacher: Sequence[int]) -> None:
    """Raises UserError for a map with a grid beside one of tokens, and for a vector."""
    if len(student) != len(teacher) or len(student) not in (2, 3):
        shapes = " and ".join("x".join(map(str, shape)) for shape in (student, teacher))
        raise UserError(
            f"{loss}: student and teacher have maps of {shapes}, expected channels x time x "
            "frequency of both, or tokens x features of both"
        )


def on_one_grid(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the channels first, averaged over the cells of the coarser grid of each axis.

    Shapes: (B, C, T, F) of each, or (B, N, D) -> (B, D, N).
    """
    if student.ndim == 3:
        student, teacher = student.transpose(1, 2), teacher.transpose(1, 2)
    sizes = [min(pair) for pair in zip(student.shape[2:], teacher.shape[2:], strict=True)]
    return pooled(student, sizes), pooled(teacher, sizes)


def pooled(features: Tensor, sizes: Sequence[int]) -> Tensor:
    """(B, C, ...) -> (B, C, *sizes), by adaptive average pooling."""
    if list(features.shape[2:]) == list(sizes):
        return features
    cells = [size // coarse for size, coarse in zip(features.shape[2:], sizes, strict=True)]
    if list(features.shape[2:]) == [n * size for n, size in zip(cells, sizes, strict=True)]:
        pool = F.avg_pool1d if len(sizes) == 1 else F.avg_pool2d
        return pool(features, cells)  # the same means, in half the time
    if len(sizes) == 1:
        return F.adaptive_avg_pool1d(features, sizes[0])
    return F.adaptive_avg_pool2d(features, (sizes[0], sizes[1]))
