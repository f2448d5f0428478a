"""Centre loss: embeddings of one class should be close together."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from losses.loss import Loss


class CentreLoss(Loss):
    r"""The squared distance of each embedding from the centre of its class.

    .. math:: \frac{1}{2B} \sum_{i,j} y_{ij} \lVert x_i - c_j \rVert^2, \qquad
              c_j \leftarrow c_j - r \, \frac{\sum_i y_{ij} (c_j - x_i)}{1 + \sum_i y_{ij}}

    The centres are a buffer, as the statistics of batch normalisation are: they start at zero,
    every call in training mode ends with their update, and no optimiser changes them.

    Options:
        centre_lr: the learning rate :math:`r` of the centres.

    Source: Wen et al., ECCV 2016, eq. 2-4. Centres that are parameters of an optimiser, as in many
    implementations, have another update: not divided by the number of clips of the class.
    Differs: the mean over the clips, where the paper has the sum; soft (mixed) labels weight the
    classes of a clip.
    Shapes: student embeddings (B, D), labels (B, K) with rows that sum to 1 -> (), the mean over B.
    """

    tasks = ("single_label",)
    centres: Tensor  # (K, D)

    def __init__(self, *, centre_lr: float = 0.5) -> None:
        super().__init__()
        self.centre_lr = centre_lr

    def build(self, shapes: Mapping[str, Any]) -> None:
        centres = torch.zeros(*shapes["labels"], *shapes["student_embedding"])
        self.register_buffer("centres", centres)

    def forward(self, student_embedding: Tensor, labels: Tensor) -> Tensor:
        squares = (student_embedding[:, None] - self.centres).square().sum(dim=2)
        if self.training:
            self.centres = self.updated(student_embedding.detach(), labels)
        return (labels * squares).sum() / (2 * len(labels))

    def updated(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The centres after one update, (K, D). The centre of a class without clips stays."""
        counts = labels.sum(dim=0)[:, None]
        difference = counts * self.centres - labels.T @ embeddings
        return self.centres - self.centre_lr * difference / (1 + counts)
