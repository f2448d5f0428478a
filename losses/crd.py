"""Contrastive representation distillation, with a memory of all training clips."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from losses.loss import Loss, check_positive
from losses.sp import row_normalised


class ContrastiveDistillation(Loss):
    r"""The embeddings of student and teacher of one clip should be closer than those of two clips.

    .. math:: -\log h(t_i, s_i) - \sum_{j} \log(1 - h(t_i, s_j)), \quad
              h(t, s) = \frac{e^{t^\top s / \tau}}{e^{t^\top s / \tau} + N / M}

    and the same with the roles exchanged, for the mean over the clips. Embeddings are projected to
    one size and to length 1. The N negatives j are other training clips, of M, out of a memory of
    the embeddings of each: a moving mean of its projections.

    Options:
        size: of the projections.
        negatives: the largest :math:`N`; all other clips where there are fewer.
        contrast_temperature: :math:`\tau`.
        momentum: of the memory, the share of the old embedding.

    Source: Tian, Krishnan & Isola, ICLR 2020, arXiv:1910.10699; the settings are those of their
    code.
    Differs: negatives are any other clips, also of the same class, so that it takes no labels: the
    unsupervised form of the paper. h is not normalised by an estimate of its mean. A clip of mixup
    is one of its own number, with the embeddings of the mixed clip.
    Shapes: student embeddings (B, D), teacher embeddings (B, D'), clips (B,) -> ().
    """

    student_head: nn.Linear
    teacher_head: nn.Linear
    student_memory: Tensor  # (M, size)
    teacher_memory: Tensor
    calls: Tensor

    def __init__(
        self,
        *,
        size: int = 128,
        negatives: int = 16_384,
        contrast_temperature: float = 0.07,
        momentum: float = 0.5,
    ) -> None:
        super().__init__()
        check_positive(size=size, negatives=negatives, contrast_temperature=contrast_temperature)
        self.size, self.negatives = size, negatives
        self.contrast_temperature, self.momentum = contrast_temperature, momentum

    def build(self, shapes: Mapping[str, Any]) -> None:
        (student,), (teacher,) = shapes["student_embedding"], shapes["teacher_embedding"]
        self.student_head = nn.Linear(student, self.size)
        self.teacher_head = nn.Linear(teacher, self.size)
        for name in ("student_memory", "teacher_memory"):
            self.register_buffer(name, row_normalised(torch.randn(shapes["clips"], self.size)))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(
        self, student_embedding: Tensor, teacher_embedding: Tensor, clips: Tensor
    ) -> Tensor:
        student = row_normalised(self.student_head(student_embedding))
        teacher = row_normalised(self.teacher_head(teacher_embedding))
        others = self.other_clips(clips)
        loss = self.contrast(student, teacher, self.teacher_memory[others])
        loss = loss + self.contrast(teacher, student, self.student_memory[others])
        if self.training:
            self.student_memory = self.updated(self.student_memory, clips, student.detach())
            self.teacher_memory = self.updated(self.teacher_memory, clips, teacher.detach())
            self.calls = self.calls + 1
        return loss

    def other_clips(self, clips: Tensor) -> Tensor:
        """(B,) -> (B, N), alike in all processes: the generator depends on `calls` alone."""
        count = len(self.student_memory) - 1
        if count <= self.negatives:
            steps = torch.arange(count, device=clips.device).expand(len(clips), count)
        else:
            generator = torch.Generator().manual_seed(int(self.calls))
            shape = (len(clips), self.negatives)
            steps = torch.randint(count, shape, generator=generator).to(clips.device)
        return (clips[:, None] + 1 + steps) % (count + 1)

    def contrast(self, anchor: Tensor, positive: Tensor, negatives: Tensor) -> Tensor:
        """(B, S), (B, S), (B, N, S) -> (), with log h = -softplus(log(N / M) - t s / tau)."""
        memory = len(self.student_memory)
        shift = torch.tensor(max(negatives.shape[1], 1) / memory).log().to(anchor)
        near = (anchor * positive).sum(dim=1) / self.contrast_temperature - shift
        far = (negatives @ anchor[:, :, None])[:, :, 0] / self.contrast_temperature - shift
        terms = nn.functional.softplus(-near) + nn.functional.softplus(far).sum(dim=1)
        return terms.mean()

    def updated(self, memory: Tensor, clips: Tensor, found: Tensor) -> Tensor:
        mixed = self.momentum * memory[clips] + (1 - self.momentum) * found
        return memory.index_copy(0, clips, row_normalised(mixed))
