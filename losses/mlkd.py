"""Multi-level logit distillation: of clips, of batches and of classes."""

import torch.nn.functional as F
from torch import Tensor

from losses.loss import Loss, check_positive


class MultiLevelDistillation(Loss):
    r"""Divergences of the clips, and differences of the clip and class correlations.

    .. math:: \sum_T \frac{T^2}{B} \sum_i \operatorname{KL}(p_i \,\|\, q_i)
              + \frac{1}{B} \lVert P P^\top - Q Q^\top \rVert_F^2
              + \frac{1}{K} \lVert P^\top P - Q^\top Q \rVert_F^2

    P and Q are the probabilities (B, K) of teacher and student at each of several temperatures.

    Options:
        temperatures: :math:`T`, the sum is over them.

    Source: Jin, Wang & Lin, CVPR 2023; the temperatures and the scale of each term are those of
    their code.
    Differs: their code has a weak and a strong augmentation of each clip, and leaves some terms out
    for the clips and classes that the teacher is surest of; here all terms are for all clips.
    Shapes: student and teacher logits (B, K) -> ().
    """

    tasks = ("single_label",)

    def __init__(self, *, temperatures: tuple[float, ...] = (2.0, 3.0, 4.0, 5.0, 6.0)) -> None:
        super().__init__()
        check_positive(temperatures=min(temperatures, default=0))
        self.temperatures = temperatures

    def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        loss = student_logits.new_zeros(())
        for temperature in self.temperatures:
            log_p = F.log_softmax(teacher_logits / temperature, dim=1)
            log_q = F.log_softmax(student_logits / temperature, dim=1)
            p, q = log_p.exp(), log_q.exp()
            loss = loss + temperature**2 * (p * (log_p - log_q)).sum(dim=1).mean()
            loss = loss + (p @ p.T - q @ q.T).square().sum() / len(p)
            loss = loss + (p.T @ p - q.T @ q).square().sum() / p.shape[1]
        return loss
