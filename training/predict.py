"""What a model says of clips of a view."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from data.loading.batches import ClipFeatures
from training.device import forward_precision


@torch.no_grad()
def said(
    model: nn.Module,
    view: ClipFeatures,
    rows: np.ndarray,
    name: Literal["logits", "embedding"],
    precision: Literal["float32", "bfloat16"] = "float32",
    batch_size: int = 64,
) -> Tensor:
    """float32 (len(rows), K or D) on the view's device. Leaves model.eval()."""
    model.eval()
    found = []
    for chunk in torch.as_tensor(rows).split(batch_size):
        with forward_precision(view.device, precision):
            found.append(getattr(model(view[chunk]), name).float())
    return torch.cat(found)


def probabilities(logits: Tensor, task: str) -> np.ndarray:
    """float64: sigmoid for tags, softmax for scenes."""
    logits = logits.cpu().double()
    return (logits.sigmoid() if task == "multi_label" else logits.softmax(1)).numpy()
