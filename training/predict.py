"""Probabilities of a model for clips of a view."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import nn

from data.batches import View
from training.device import forward_precision


@torch.no_grad()
def probabilities(
    model: nn.Module,
    view: View,
    rows: np.ndarray,
    task: str,
    precision: Literal["float32", "bfloat16"] = "float32",
    batch_size: int = 64,
) -> np.ndarray:
    """float64 (len(rows), K): sigmoid for tags, softmax for scenes. Leaves model.eval()."""
    model.eval()
    found = []
    for chunk in torch.as_tensor(rows).split(batch_size):
        with forward_precision(view.device, precision):
            found.append(model(view[chunk]).logits.float())
    logits = torch.cat(found).cpu().double()
    return (logits.sigmoid() if task == "multi_label" else logits.softmax(1)).numpy()
