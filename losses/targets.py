"""The classes of the labels as targets of the losses that separate them from the others."""

from typing import NamedTuple

from torch import Tensor


class Targets(NamedTuple):
    """Each present label: its clip (M,), its class (M,) and its share (M,), 1 but for mixup."""

    clip: Tensor
    label: Tensor
    share: Tensor


def targets_of(labels: Tensor) -> Targets:
    """(B, K), rows that sum to 1."""
    clip, label = labels.nonzero(as_tuple=True)
    return Targets(clip, label, labels[clip, label])


def of_target(scores: Tensor, targets: Targets) -> Tensor:
    """(B, K) -> (M,)"""
    return scores[targets.clip, targets.label]


def of_others(scores: Tensor, targets: Targets) -> Tensor:
    """(B, K) -> (M, K - 1), all classes but the target."""
    rows = scores[targets.clip]
    kept = rows.new_ones(rows.shape).scatter(1, targets.label[:, None], 0).bool()
    return rows[kept].reshape(len(rows), scores.shape[1] - 1)
