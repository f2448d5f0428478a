"""The classifier of a model apart from its backbone: trained on embeddings, fitted, aligned."""

from __future__ import annotations

import torch
from torch import nn

from config import RoleSettings
from data.loading.replay import Replay
from training.alignment import align, check_classifier
from training.embeddings import on_embeddings
from training.fold import FoldData
from training.logistic_regression import fit_classifier, linear_layer
from training.predict import gathered_outputs
from training.role import Role


def trained_part(
    fold: FoldData, role: Role, model: nn.Module, settings: RoleSettings, replay: Replay | None
) -> tuple[nn.Module, FoldData]:
    """The model and the fold; or, with a frozen backbone and inputs that repeat, unaugmented clips
    or the views of `replay`, its classifier and the fold with embeddings.

    Raises UserError for a classifier that does not fit FREEZE, HEAD_FIT or ALIGN_EPOCHS.
    """
    frozen = settings.freezes_backbone and role.precision == "float32"
    keys = {"align_epochs": settings.align_epochs, f"[{role.features}] freeze": frozen}
    for key in (key for key, is_set in keys.items() if is_set):
        clip = fold.features[role.features][torch.as_tensor(fold.split.train[:1])]
        check_classifier(model, clip, key)
    if settings.head_fit == "logistic_regression":
        linear_layer(model.get_submodule("classifier"))
    if frozen and (replay or not fold.experiment.is_augmented(role.name)):
        return on_embeddings(fold, role, model, replay)
    return model, fold


def fit_head(
    fold: FoldData, role: Role, model: nn.Module, settings: RoleSettings, seed: int
) -> None:
    """After the epochs: HEAD_FIT = logistic_regression and ALIGN_EPOCHS, of the parts above."""
    if settings.head_fit == "gradient" and not settings.align_epochs:
        return
    rows, classifier = fold.labelled(fold.split.train), model.get_submodule("classifier")
    embeddings = gathered_outputs(fold, role, model, rows, "embedding")
    if settings.head_fit == "logistic_regression":
        targets = fold.table.targets[rows]
        fit_classifier(classifier, embeddings, targets, fold.table.task, settings.head_c)
    else:
        labels = torch.as_tensor(fold.labels(rows), device=fold.device)
        align(classifier, embeddings, labels, settings.align_epochs, seed)
