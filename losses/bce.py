"""Binary cross-entropy: the labels-only loss of tagging."""

import torch.nn.functional as F
from torch import Tensor, nn


class BinaryCrossEntropy(nn.Module):
    r"""Each class by itself is present or absent, as the targets say.

    .. math:: -\frac{1}{BK} \sum y \log \sigma(s) + (1 - y) \log(1 - \sigma(s))

    With label smoothing :math:`\epsilon`, :math:`y` becomes :math:`(1 - \epsilon) y + \epsilon /
    2`.
    Shapes: student logits (B, K), labels (B, K) in [0, 1] -> (), the mean over B x K.
    """

    student, target = "logits", "labels"

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, student: Tensor, labels: Tensor) -> Tensor:
        targets = (1 - self.label_smoothing) * labels + self.label_smoothing / 2
        return F.binary_cross_entropy_with_logits(student, targets)
