"""Cross-entropy: the labels-only loss of recognition, where a clip has one class."""

import torch.nn.functional as F
from torch import Tensor, nn


class CrossEntropy(nn.Module):
    r"""One class a clip, given as a one-hot or soft (mixed) target.

    .. math:: -\frac{1}{B} \sum y \log \operatorname{softmax}(s)

    With label smoothing :math:`\epsilon`, :math:`y` becomes :math:`(1 - \epsilon) y + \epsilon /
    K`.
    Shapes: student logits (B, K), labels (B, K) with rows that sum to 1 -> (), the mean over B.
    """

    student, target = "logits", "labels"

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, student: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(student, labels, label_smoothing=self.label_smoothing)
