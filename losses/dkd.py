"""Decoupled knowledge distillation: the target class and the others apart."""

import torch.nn.functional as F
from torch import Tensor

from losses.loss import Loss, check_positive
from losses.targets import of_others, of_target, targets_of


class DecoupledDistillation(Loss):
    r"""The divergence of the target's probability, and that of the distribution of the others.

    .. math:: T^2 \left( \alpha \operatorname{KL}(b_t \,\|\, b_s)
              + \beta \operatorname{KL}(\hat p_t \,\|\, \hat p_s) \right)

    :math:`b` are the probabilities of the target class and of all others together, :math:`\hat p`
    is the softmax over the others alone, all at the temperature T.

    Options:
        temperature: :math:`T`.
        target_weight: :math:`\alpha`.
        others_weight: :math:`\beta`; with the teacher's probability of the others in its place the
            loss is `kd`.

    Source: Zhao et al., CVPR 2022, arXiv:2203.08679; the defaults are some of those for CIFAR-100.
    Differs: the warm-up of the loss over the first epochs is left out. A mixed clip has the loss of
    each of its labels, weighted by their shares.
    Shapes: student and teacher logits (B, K), labels (B, K) with rows that sum to 1 -> (), the mean
    over B.
    """

    tasks = ("single_label",)

    def __init__(
        self, *, temperature: float = 4.0, target_weight: float = 1.0, others_weight: float = 8.0
    ) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        self.temperature = temperature
        self.target_weight, self.others_weight = target_weight, others_weight

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        targets = targets_of(labels)
        log_q = F.log_softmax(student_logits / self.temperature, dim=1)
        log_p = F.log_softmax(teacher_logits / self.temperature, dim=1)
        target = pair_divergence(
            *(of_target(log_p, targets), of_others(log_p, targets).logsumexp(1)),
            *(of_target(log_q, targets), of_others(log_q, targets).logsumexp(1)),
        )
        others_p = F.log_softmax(of_others(log_p, targets), dim=1)
        others_q = F.log_softmax(of_others(log_q, targets), dim=1)
        others = (others_p.exp() * (others_p - others_q)).sum(dim=1)
        loss = self.target_weight * target + self.others_weight * others
        return self.temperature**2 * (targets.share * loss).sum() / len(labels)


def pair_divergence(log_p: Tensor, log_rest_p: Tensor, log_q: Tensor, log_rest_q: Tensor) -> Tensor:
    """KL of (p, 1 - p) and (q, 1 - q), from their logarithms."""
    return log_p.exp() * (log_p - log_q) + log_rest_p.exp() * (log_rest_p - log_rest_q)
