"""What every loss declares."""

from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn


class Loss(nn.Module):
    """`student`: the student's tensor that it takes; `target`: what that is compared with."""

    student: ClassVar[str]  # logits, embedding or map
    target: ClassVar[str]  # labels or teacher


@runtime_checkable
class TakesGram(Protocol):
    """A loss that takes the Gram matrix (B, B) in place of the teacher's tensor."""

    def forward_gram(self, student: Tensor, teacher: Tensor) -> Tensor: ...


@runtime_checkable
class MixesTargets(Protocol):
    """A loss that mixes the targets of mixed clips itself: `mix` (B, B), see `Batch`."""

    def forward_mixed(self, student: Tensor, teacher: Tensor, mix: Tensor) -> Tensor: ...
