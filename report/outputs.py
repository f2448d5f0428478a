"""What a trained model of a run makes of clips: it hears them as it did in training."""

from __future__ import annotations

import numpy as np
import torch

from config import UserError
from data.batches import View
from models.output import Output
from models.stored import read_model
from report.run import Run, System


@torch.inference_mode()
def outputs(run: Run, system: System, rows: np.ndarray) -> Output:
    """Of the run's first seed and fold, on the CPU. `rows` (B,) in the clip table.

    Raises UserError where weights or features are gone or do not belong to each other.
    """
    path = run.file(system, "weights.safetensors", **run.first)
    model, described = read_model(path)
    view = View(run.cache(system.role), run.table.ids, torch.device("cpu"), resident_gigabytes=0)
    if view.shape != described.input_shape:
        raise UserError(f"{path}: hears {described.input_shape}, the features are {view.shape}")
    view.mean, view.deviation = torch.tensor(described.mean), torch.tensor(described.deviation)
    return model(view[torch.as_tensor(rows)])
