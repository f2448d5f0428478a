"""Optimisers by their names in config.ini, and the groups of parameters that they train."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from config import RoleSettings, UserError
from models.output import CLASSIFIER

OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "amsgrad": functools.partial(torch.optim.Adam, amsgrad=True),
    "adamw": torch.optim.AdamW,
    "sgd": functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}


def build_optimiser(
    model: nn.Module,
    settings: RoleSettings,
    device: torch.device,
    of_losses: Sequence[nn.Parameter] = (),
) -> torch.optim.Optimizer:
    """Of the trainable parameters of the model, and of those `of_losses`."""
    groups = parameter_groups(model, settings.backbone_lr_scale)
    if of_losses:
        groups.append({"params": list(of_losses), "share": 1.0})
    return OPTIMISERS[settings.optimiser](
        groups,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        **({} if settings.optimiser == "sgd" else {"betas": settings.adam_betas}),
        fused=device.type == "cuda",  # one kernel for all parameters, where launches are slow
    )


def parameter_groups(model: nn.Module, backbone_lr_scale: float) -> list[dict[str, Any]]:
    """The trainable parameters; `share` is the factor on the learning rate of each group.

    Source: the slow learner of Zhang et al. (SLCA), ICCV 2023. Raises UserError for a model whose
    classifier cannot be distinguished from its backbone.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if backbone_lr_scale == 1:
        return [{"params": list(trained.values()), "share": 1.0}]
    classifier = [p for name, p in trained.items() if name.startswith(CLASSIFIER)]
    backbone = [p for name, p in trained.items() if not name.startswith(CLASSIFIER)]
    if not classifier:
        raise UserError(
            f"backbone_lr_scale: no trained parameter of {type(model).__name__} begins with "
            f"{CLASSIFIER!r}"
        )
    return [
        {"params": backbone, "share": backbone_lr_scale},
        {"params": classifier, "share": 1.0},
    ]
