"""The outputs of trained weights by the names of their classes: positions alone show nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import nn

LISTED = 5  # names that a message lists


def difference(found: Sequence[str], expected: Sequence[str]) -> str:
    """`of other classes: without dog and rain, with cat`; empty for the same in the same order."""
    if tuple(found) == tuple(expected):
        return ""
    lacks = [name for name in expected if name not in set(found)]
    more = [name for name in found if name not in set(expected)]
    parts = [f"{word} {some_of(names)}" for word, names in (("without", lacks), ("with", more))]
    parts = [part for part, names in zip(parts, (lacks, more), strict=True) if names]
    return f"of other classes: {', '.join(parts)}" if parts else "of classes in another order"


def some_of(names: Collection[str]) -> str:
    """The first names, and how many more there are."""
    first = ", ".join(repr(name) for name in list(names)[:LISTED])
    return f"{first} and {len(names) - LISTED} more" if len(names) > LISTED else first


@torch.no_grad()
def reorder_classes(
    model: nn.Module, one_more: nn.Module, found: Sequence[str], expected: Sequence[str]
) -> None:
    """Reorder the outputs of a model for the classes `found` to `expected`, the same names.

    `one_more` is the same architecture with one class more, which shows the axes of the classes:
    they are as many entries longer as they have entries per class (the heads of an attention).
    """
    order = torch.tensor([found.index(name) for name in expected])
    wider = one_more.state_dict()
    for name, tensor in model.state_dict().items():
        for axis, (size, other) in enumerate(zip(tensor.shape, wider[name].shape, strict=True)):
            if per_class := other - size:
                by_class = tensor.unflatten(axis, (per_class, len(order)))
                ordered = by_class.index_select(axis + 1, order.to(tensor.device))
                tensor.copy_(ordered.flatten(axis, axis + 1))
