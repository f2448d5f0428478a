"""Parts of a model that are not trained."""

from collections.abc import Iterable

from torch import nn

from config import UserError, nearest


def freeze(model: nn.Module, prefixes: Iterable[str]) -> int:
    """Stop training the parameters whose names begin with one of `prefixes`; returns their number.

    Running statistics of batch normalisation are no parameters: in training they go on following
    the data. Raises UserError for a prefix that no parameter has.
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
