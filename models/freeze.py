"""Freezing parameters of a model."""

from collections.abc import Iterable

from torch import nn

from config import UserError, nearest


def freeze(model: nn.Module, prefixes: Iterable[str]) -> int:
    """Freeze the parameters whose names begin with one of `prefixes`; returns their number.

    The running statistics of batch normalisation are not parameters: training still updates them.
    Raises UserError for a prefix that matches no parameter.
    """
    parameters = dict(model.named_parameters())
    for prefix in prefixes:
        frozen = [p for name, p in parameters.items() if prefix and name.startswith(prefix)]
        if not frozen:
            parts = {name.partition(".")[0] for name in parameters}
            raise UserError(f"freeze: no parameter begins with {prefix!r}{nearest(prefix, parts)}")
        for parameter in frozen:
            parameter.requires_grad_(False)
    return sum(p.numel() for p in parameters.values() if not p.requires_grad)
