"""Knowledge distillation from the teacher's logits."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class KnowledgeDistillation(nn.Module):
    r"""The student gives each class the softened probability that the teacher gives it.

    .. math:: \operatorname{KL}(p(t / T) \,\|\, p(s / T))

    times :math:`T^2` with `squared_temperature`.
    `single_label`: :math:`p` is the softmax over the K classes; the mean over B of the sum over K.
    `multi_label`: each class is a Bernoulli variable with :math:`p = \sigma`; the mean over B x K.
    `over_classes` "sum" or "mean" says otherwise: they differ by a factor of K, which shifts the
    balance with the labels. Published systems have either, or do not say.
    `temperature_on` "teacher" divides the teacher's logits alone: the loss is then zero where s = t
    / T, so at s = t only for temperature 1.

    Source: Hinton, Vinyals & Dean, arXiv:1503.02531, section 2; the Bernoulli form is that of the
    published urban sound tagging system, binary cross-entropy against the teacher's probabilities.
    Differs: the teacher's entropy is subtracted from the cross-entropy of both, so that perfect
    imitation scores zero. It does not depend on the student: the gradients are the same.
    Shapes: student logits (B, K), teacher logits (B, K) -> ().
    """

    student, against = "logits", "teacher"

    def __init__(
        self,
        *,
        task: Literal["single_label", "multi_label"],
        temperature: float = 1.0,
        temperature_on: Literal["both", "teacher"] = "both",
        squared_temperature: bool = False,
        over_classes: Literal["auto", "sum", "mean"] = "auto",
    ) -> None:
        super().__init__()
        self.task, self.over_classes = task, over_classes
        self.teacher_temperature = temperature
        self.student_temperature = temperature if temperature_on == "both" else 1.0
        self.scale = temperature**2 if squared_temperature else 1.0

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        log_p = log_probabilities(teacher.detach() / self.teacher_temperature, self.task)
        log_q = log_probabilities(student / self.student_temperature, self.task)
        divergence = (log_p.exp() * (log_p - log_q)).sum(dim=-1)
        classes, scale = student.shape[1], self.scale
        if self.over_classes == "sum" and self.task == "multi_label":
            scale = scale * classes
        if self.over_classes == "mean" and self.task == "single_label":
            scale = scale / classes
        return scale * divergence.mean()


def log_probabilities(logits: Tensor, task: str) -> Tensor:
    """(B, K) over the classes, or (B, K, 2) of presence and absence."""
    if task == "single_label":
        return F.log_softmax(logits, dim=-1)
    return torch.stack((F.logsigmoid(logits), F.logsigmoid(-logits)), dim=-1)
