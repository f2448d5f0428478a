"""Probabilistic knowledge transfer: the neighbours of each clip should be equally probable."""

import torch
from torch import Tensor

from losses.loss import Loss
from losses.sp import row_normalised

SMALLEST = 1e-7  # of a similarity, where the logarithm would be infinite


class ProbabilisticTransfer(Loss):
    r"""The divergence of the probabilities that a clip has another as its neighbour.

    .. math:: \frac{1}{B} \sum_i \sum_{j \ne i} p_{j|i} \log \frac{p_{j|i}}{q_{j|i}}, \quad
              p_{j|i} = \frac{k_{ij}}{\sum_{l \ne i} k_{il}}, \quad
              k_{ij} = \frac{\cos(x_i, x_j) + 1}{2}

    Source: Passalis & Tefas, ECCV 2018, arXiv:1803.10837, with the cosine kernel.
    Differs: the mean over the clips, where the paper has the sum; similarities are at least 1e-7.
    Shapes: student embeddings (B, D), teacher embeddings (B, D') -> (). Zero for B = 1.
    """

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        p, q = neighbours(teacher_embedding), neighbours(student_embedding)
        return (p * (p.log() - q.log())).sum() / len(p)


def neighbours(x: Tensor) -> Tensor:
    """(B, D) -> (B, B - 1), rows that sum to 1."""
    unit, clips = row_normalised(x), len(x)
    similarity = ((unit @ unit.T + 1) / 2).clamp_min(SMALLEST)
    others = ~torch.eye(clips, dtype=torch.bool, device=x.device)
    kept = similarity[others].reshape(clips, clips - 1)
    return kept / kept.sum(dim=1, keepdim=True)
