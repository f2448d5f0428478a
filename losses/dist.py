"""DIST: correlations with the teacher's probabilities, within each clip and each class."""

from typing import Literal

from torch import Tensor

from losses.kd import z_scores
from losses.loss import Loss, check_positive


class Dist(Loss):
    r"""One minus the Pearson correlation of the probabilities, over the classes and over the clips.

    .. math:: \frac{\beta}{B} \sum_i \left(1 - \rho(p^s_{i \cdot}, p^t_{i \cdot})\right)
              + \frac{\gamma}{K} \sum_k \left(1 - \rho(p^s_{\cdot k}, p^t_{\cdot k})\right)

    Options:
        task: `single_label`: p is the softmax; `multi_label`: the sigmoid.
        temperature: divisor of the logits.
        clip_weight: :math:`\beta`, of the correlations over the classes of each clip.
        class_weight: :math:`\gamma`, of the correlations over the clips of each class.

    Source: Huang et al., NeurIPS 2022, arXiv:2205.10536; sigmoid and weights: their code.
    Differs: constant probabilities have no correlation, which counts as 0. The factor T^2 is left
    out: a correlation has no scale.
    Shapes: student and teacher logits (B, K) -> ().
    """

    def __init__(
        self,
        *,
        task: Literal["single_label", "multi_label"],
        temperature: float = 1.0,
        clip_weight: float = 1.0,
        class_weight: float = 1.0,
    ) -> None:
        super().__init__()
        check_positive(temperature=temperature)
        self.task, self.temperature = task, temperature
        self.clip_weight, self.class_weight = clip_weight, class_weight

    def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        p, q = (self.probabilities(one) for one in (teacher_logits, student_logits))
        clips = 1 - correlation(p, q).mean()
        classes = 1 - correlation(p.T, q.T).mean()
        return self.clip_weight * clips + self.class_weight * classes

    def probabilities(self, logits: Tensor) -> Tensor:
        softened = logits / self.temperature
        return softened.softmax(dim=1) if self.task == "single_label" else softened.sigmoid()


def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's, of the rows: (N, M), (N, M) -> (N,)"""
    return (z_scores(x) * z_scores(y)).mean(dim=1)
