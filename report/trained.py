"""A trained model of a run and the view that it hears, as it heard in training."""

from __future__ import annotations

import torch
from torch import nn

from config import UserError
from data.loading.batches import ClipFeatures
from models.stored import read_model
from report.run import Run, System


def trained(run: Run, system: System) -> tuple[nn.Module, ClipFeatures]:
    """Of the run's first seed and fold, on the CPU. The view takes rows of the run's clip table.

    Raises UserError where weights or features are gone or do not belong to each other.
    """
    path = run.file(system, "weights.safetensors", *run.first)
    model, described = read_model(path)
    view = ClipFeatures(
        run.cache(system.role), run.table.ids, torch.device("cpu"), feature_memory_gb=0
    )
    if view.shape != described.input_shape:
        raise UserError(f"{path}: hears {described.input_shape}, the features are {view.shape}")
    view.mean, view.std = torch.tensor(described.mean), torch.tensor(described.std)
    return model, view
