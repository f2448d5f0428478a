"""Binary cross-entropy: the loss of multi-label tagging, from labels only."""

import torch.nn.functional as F
from torch import Tensor

from losses.loss import Loss


class BinaryCrossEntropy(Loss):
    r"""Binary cross-entropy with logits, averaged over clips and classes.

    .. math:: -\frac{1}{BK} \sum y \log \sigma(s) + (1 - y) \log(1 - \sigma(s))

    Options:
        label_smoothing: :math:`\epsilon` of :math:`(1 - \epsilon) y + \epsilon / 2`,
            which replaces :math:`y`.
        pos_weight: (K,), weight of the first term, by class; None: 1.

    Shapes: student logits (B, K), labels (B, K) in [0, 1] -> (), the mean over B x K.
    """

    tasks = ("multi_label",)

    def __init__(self, *, label_smoothing: float = 0.0, pos_weight: Tensor | None = None) -> None:
        super().__init__()
        self.label_smoothing, self.pos_weight = label_smoothing, pos_weight

    def forward(self, student_logits: Tensor, labels: Tensor) -> Tensor:
        targets = (1 - self.label_smoothing) * labels + self.label_smoothing / 2
        return F.binary_cross_entropy_with_logits(
            student_logits, targets, pos_weight=self.pos_weight
        )
