"""Cross-entropy: the loss of single-label classification, from labels only."""

import torch.nn.functional as F
from torch import Tensor

from losses.loss import Loss


class CrossEntropy(Loss):
    r"""Cross-entropy of one-hot or soft (mixed) targets.

    .. math:: -\frac{1}{B} \sum y \log \operatorname{softmax}(s)

    Options:
        label_smoothing: :math:`\epsilon` of :math:`(1 - \epsilon) y + \epsilon / K`,
            which replaces :math:`y`.

    Shapes: student logits (B, K), labels (B, K) with rows that sum to 1 -> (), the mean over B.
    """

    tasks = ("single_label",)

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, student_logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(student_logits, labels, label_smoothing=self.label_smoothing)
