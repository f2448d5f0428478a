"""The focus-picking loss of FocusNet: the label against the classes that confuse the teacher."""

import torch.nn.functional as F
from torch import Tensor

from losses.loss import Loss, check_positive


class FocusPicking(Loss):
    r"""Cross-entropies of shifted logits and of the confusing classes, minus the entropy.

    .. math:: \operatorname{CE}(s + p(s) - p(t),\ y) + \operatorname{CE}(s, m) - H(p(s))

    m is uniform over the label and the confusing classes, those to which the teacher gives more
    than 1 / K at the temperature T; p is the softmax, and y are the labels, smoothed.

    Options:
        focus_temperature: :math:`T`.
        focus_smoothing: the share of the labels y that is spread over all classes.

    Source: Zhang, Sheng & Shen, Pattern Recognition 2022, arXiv:2110.07307; the form is that of
    their code, with its temperature and smoothing. In DCASE 2024 Task 1: arXiv:2409.11964.
    Differs: the teacher, their baseline branch, is not trained. Of a mixed clip both labels are in
    m. It is not zero where student and teacher agree.
    Shapes: student and teacher logits (B, K), labels (B, K) with rows that sum to 1 -> (), the mean
    over B.
    """

    tasks = ("single_label",)

    def __init__(self, *, focus_temperature: float = 2.0, focus_smoothing: float = 0.1) -> None:
        super().__init__()
        check_positive(focus_temperature=focus_temperature)
        self.focus_temperature, self.focus_smoothing = focus_temperature, focus_smoothing

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        log_q = F.log_softmax(student_logits, dim=1)
        shifted = student_logits + log_q.exp() - teacher_logits.softmax(dim=1)
        label = F.cross_entropy(shifted, labels, label_smoothing=self.focus_smoothing)
        softened = (teacher_logits / self.focus_temperature).softmax(dim=1)
        confusing = ((softened > 1 / labels.shape[1]) | (labels > 0)).to(log_q)
        focus = -(confusing / confusing.sum(dim=1, keepdim=True) * log_q).sum(dim=1).mean()
        negative_entropy = (log_q.exp() * log_q).sum(dim=1).mean()
        return label + focus + negative_entropy
