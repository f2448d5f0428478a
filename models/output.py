"""The output of every model."""

from typing import NamedTuple

from torch import Tensor

CLASSIFIER = "classifier."  # prefix of the classifier's parameter names in every model


class Output(NamedTuple):
    """logits (B, K), no sigmoid or softmax; embedding (B, D); maps, shallow to deep.

    A map is (B, C, T, F), or (B, N, D) for tokens without a grid. Similarity-preserving
    distillation compares the last map.
    """

    logits: Tensor
    embedding: Tensor
    maps: tuple[Tensor, ...]
