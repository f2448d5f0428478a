"""A trained model of a run and its input features, normalised as in training."""

from __future__ import annotations

import torch
from torch import nn

from config import UserError
from data.loading.batches import ClipFeatures
from models.stored import read_model
from report.run import Run, System


def trained(run: Run, system: System) -> tuple[nn.Module, ClipFeatures]:
    """Of the run's first seed and fold, on the CPU. The features take rows of the run's clip table.

    Raises UserError where weights or features are missing or do not fit each other.
    """
    path = run.file(system, "weights.safetensors", *run.first)
    model, described = read_model(path, run.own)
    features = ClipFeatures(
        run.cache(system.role), run.table.ids, torch.device("cpu"), feature_memory_gb=0
    )
    if features.shape != described.input_shape:
        found = f"{path}: the model takes {described.input_shape}"
        raise UserError(f"{found}, the features are {features.shape}")
    features.mean, features.std = torch.tensor(described.mean), torch.tensor(described.std)
    return model, features
