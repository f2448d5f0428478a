"""Knowledge distillation from the teacher's logits."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from config import ConfigError
from losses.loss import Loss, check_positive

ROUNDING = 1e-6  # of float32, of a row's length: a smaller distance from the mean is none


class KnowledgeDistillation(Loss):
    r"""The KL divergence of the softened probabilities of teacher and student.

    .. math:: \operatorname{KL}(p(t / T) \,\|\, p(s / T))

    Options:
        task: `single_label`: :math:`p` is the softmax over the K classes; the mean over B of the
            sum over K. `multi_label`: each class is a Bernoulli variable with :math:`p = \sigma`;
            the mean over B x K.
        temperature: :math:`T`.
        temperature_on: `both`, or `teacher` to divide the teacher's logits only: the loss is then
            zero at s = t / T.
        squared_temperature: multiply the loss by :math:`T^2`.
        standardise_logits: use z-scores of both logits, over the classes of each clip, before the
            division: the loss is then invariant to a shift and a scale of the logits.
        kd_reduction: over the classes: `sum`, `mean`, or `auto` as given for each task. They differ
            by a factor of K, which changes the balance with the losses from labels. Published
            systems use either, or do not state it.

    Source: Hinton, Vinyals & Dean, arXiv:1503.02531, section 2; the Bernoulli form is that of the
    published urban sound tagging system, binary cross-entropy against the teacher's probabilities;
    z-scores: Sun et al., CVPR 2024, arXiv:2403.01427.
    Differs: the teacher's entropy is subtracted from the cross-entropy, so that the loss is zero at
    s = t; the gradients are the same. The variance of a z-score is the mean over K; the code of Sun
    et al. divides by K - 1.
    Mixed clips, with a teacher of the clips alone: the mean of the divergences from the teacher's
    predictions of both clips, weighted by their shares.
    Shapes: student logits (B, K), teacher logits (B, K), mix (B, B) or None -> ().
    """

    def __init__(
        self,
        *,
        task: Literal["single_label", "multi_label"],
        temperature: float = 1.0,
        temperature_on: Literal["both", "teacher"] = "both",
        squared_temperature: bool = False,
        standardise_logits: bool = False,
        kd_reduction: Literal["auto", "sum", "mean"] = "auto",
    ) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        if standardise_logits and task == "multi_label":
            raise ConfigError(
                "standardise_logits",
                "found yes, but the data set is multi-label: its tags are independent, and have no "
                "common mean and std",
            )
        self.task, self.kd_reduction = task, kd_reduction
        self.standardise_logits = standardise_logits
        self.teacher_temperature = temperature
        self.student_temperature = temperature if temperature_on == "both" else 1.0
        self.scale = temperature**2 if squared_temperature else 1.0

    def forward(
        self, student_logits: Tensor, teacher_logits: Tensor, mix: Tensor | None = None
    ) -> Tensor:
        student, teacher = student_logits, teacher_logits
        if self.standardise_logits:
            student, teacher = z_scores(student), z_scores(teacher)
        log_p = log_probabilities(teacher / self.teacher_temperature, self.task)
        log_q = log_probabilities(student / self.student_temperature, self.task)
        p = log_p.exp()
        if mix is None:
            divergence = (p * (log_p - log_q)).sum(dim=-1)
        else:
            entropy = -(p * log_p).sum(dim=-1)
            cross_entropy = -(torch.tensordot(mix, p, 1) * log_q).sum(dim=-1)
            divergence = cross_entropy - mix @ entropy
        classes, scale = student.shape[1], self.scale
        if self.kd_reduction == "sum" and self.task == "multi_label":
            scale = scale * classes
        if self.kd_reduction == "mean" and self.task == "single_label":
            scale = scale / classes
        return scale * divergence.mean()


def z_scores(rows: Tensor) -> Tensor:
    """(N, M): (x - mean) / std of each row; only x - mean where all values are equal, so that
    rounding errors of the mean are not divided by others.
    """
    centred = rows - rows.mean(dim=1, keepdim=True)
    whole, norm = (torch.linalg.vector_norm(one, dim=1, keepdim=True) for one in (rows, centred))
    return centred / torch.where(norm > ROUNDING * whole, norm / rows.shape[1] ** 0.5, 1.0)


def log_probabilities(logits: Tensor, task: str) -> Tensor:
    """(B, K) over the classes, or (B, K, 2) of presence and absence."""
    if task == "single_label":
        return F.log_softmax(logits, dim=-1)
    return torch.stack((F.logsigmoid(logits), F.logsigmoid(-logits)), dim=-1)
