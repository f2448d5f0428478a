"""Normalised knowledge distillation: cross-entropies of the target and of the others."""

import torch.nn.functional as F
from torch import Tensor

from losses.loss import Loss, check_positive
from losses.targets import of_others, of_target, targets_of


class NormalisedDistillation(Loss):
    r"""The soft cross-entropy of the target class, and that of the normalised others.

    .. math:: -t_y \log s_y - \gamma T^2 \sum_{k \ne y} \hat t_k \log \hat s_k

    :math:`t_y` and :math:`s_y` are the target's probabilities without a temperature, :math:`\hat t`
    and :math:`\hat s` the softmax over the others alone, at the temperature T.

    Options:
        temperature: :math:`T`; 1 in the paper.
        others_weight: :math:`\gamma`.

    Source: Yang et al., ICCV 2023, arXiv:2303.13005; the temperature is that of their code.
    Differs: a mixed clip has the loss of each of its labels, weighted by their shares. As published
    it is a cross-entropy: not zero where student and teacher agree.
    Shapes: student and teacher logits (B, K), labels (B, K) with rows that sum to 1 -> (), the mean
    over B.
    """

    tasks = ("single_label",)

    def __init__(self, *, temperature: float = 1.0, others_weight: float = 1.5) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        self.temperature, self.others_weight = temperature, others_weight

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        targets = targets_of(labels)
        log_s = of_target(F.log_softmax(student_logits, dim=1), targets)
        target = -of_target(teacher_logits.softmax(dim=1), targets) * log_s
        teacher = (of_others(teacher_logits, targets) / self.temperature).softmax(dim=1)
        student = F.log_softmax(of_others(student_logits, targets) / self.temperature, dim=1)
        others = -(teacher * student).sum(dim=1)
        loss = target + self.others_weight * self.temperature**2 * others
        return (targets.share * loss).sum() / len(labels)
