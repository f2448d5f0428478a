"""Relational distillation: distances and angles between the embeddings of a batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from losses.loss import Loss
from losses.sp import row_normalised


class RelationalDistillation(Loss):
    r"""The Huber loss of the distances of pairs and of the angles of triples.

    .. math:: w_d \operatorname{mean}_{ij} \, h(d^s_{ij} / \bar d^s,\ d^t_{ij} / \bar d^t)
              + w_a \operatorname{mean}_{ijk} \, h(\cos \phi^s_{ijk},\ \cos \phi^t_{ijk})

    Options:
        distance_weight: :math:`w_d`.
        angle_weight: :math:`w_a`; 0: no angles, whose memory grows with the cube of the batch.

    Source: Park et al., CVPR 2019, arXiv:1904.05068; the weights have the ratio of the paper, 25
    and 50 for classification.
    Differs: the means over distinct pairs and triples, where the paper has sums. Equal embeddings
    have the distance and the angle 0.
    Shapes: student embeddings (B, D), teacher embeddings (B, D') -> (). Zero for B = 1.
    """

    def __init__(self, *, distance_weight: float = 1.0, angle_weight: float = 2.0) -> None:
        super().__init__()
        self.distance_weight, self.angle_weight = distance_weight, angle_weight

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        clips, pair = len(student_embedding), (student_embedding, teacher_embedding)
        count = max(clips * (clips - 1), 1)  # all other entries are zero for both
        loss = self.distance_weight * huber(*map(distances, pair)) / count
        if self.angle_weight:
            angles_loss = huber(*map(angles, pair)) / (count * max(clips - 2, 1))
            loss = loss + self.angle_weight * angles_loss
        return loss


def huber(student: Tensor, teacher: Tensor) -> Tensor:
    return F.smooth_l1_loss(student, teacher, reduction="sum")


def distances(x: Tensor) -> Tensor:
    """(B, D) -> (B, B), over their mean."""
    found = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    mean = found.sum() / max(len(x) * (len(x) - 1), 1)
    return found / torch.where(mean > 0, mean, 1.0)


def angles(x: Tensor) -> Tensor:
    """(B, D) -> (B, B, B): [j, i, k] is the cosine of the angle at j between i and k."""
    directions = row_normalised(x[None] - x[:, None])
    return directions @ directions.transpose(1, 2)
