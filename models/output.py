"""The output of every model, and the probabilities of its logits."""

from typing import NamedTuple

from torch import Tensor

CLASSIFIER = "classifier."  # prefix of the classifier's parameter names in every model


def probabilities_of(logits: Tensor, task: str) -> Tensor:
    """(B, K) -> (B, K): the sigmoid for tags, the softmax for scenes."""
    return logits.sigmoid() if task == "multi_label" else logits.softmax(1)


class Output(NamedTuple):
    """logits (B, K), no sigmoid or softmax; embedding (B, D); maps, shallow to deep.

    A map is (B, C, T, F), or (B, N, D) for tokens without a grid. Similarity-preserving
    distillation compares the last map.
    """

    logits: Tensor
    embedding: Tensor
    maps: tuple[Tensor, ...]
