"""Freezing parameters of a model."""

from collections.abc import Iterable

from torch import nn

from config import BACKBONE, UserError, nearest
from models.output import CLASSIFIER


def freeze(model: nn.Module, prefixes: Iterable[str]) -> int:
    """Freeze the parameters whose names begin with one of `prefixes`; returns their number.

    The running statistics of batch normalisation are not parameters: training still updates them.
    With "backbone" all parameters but the classifier's are frozen, see also `training_mode`. Raises
    UserError for a prefix that matches no parameter, and for a model without a classifier.
    """
    parameters = dict(model.named_parameters())
    prefixes = list(prefixes)
    if BACKBONE in prefixes:
        prefixes = [name for name in parameters if not name.startswith(CLASSIFIER)]
        if len(prefixes) == len(parameters):
            raise UserError(
                f"freeze: found {BACKBONE!r}, but no parameter of {type(model).__name__} begins "
                f"with {CLASSIFIER!r}"
            )
    for prefix in prefixes:
        frozen = [p for name, p in parameters.items() if prefix and name.startswith(prefix)]
        if not frozen:
            parts = {name.partition(".")[0] for name in parameters}
            raise UserError(f"freeze: no parameter begins with {prefix!r}{nearest(prefix, parts)}")
        for parameter in frozen:
            parameter.requires_grad_(False)
    return sum(p.numel() for p in parameters.values() if not p.requires_grad)


def training_mode(model: nn.Module, prefixes: Iterable[str]) -> None:
    """As `model.train()`; with "backbone" only the classifier is in training mode, so that batch
    statistics are fixed and nothing is dropped before it.
    """
    frozen = BACKBONE in prefixes
    model.train(not frozen)
    if frozen:
        model.get_submodule("classifier").train()
