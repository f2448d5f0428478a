"""From the rows of a clip table to positions among some of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def positions_of(rows: np.ndarray) -> Tensor:
    """Indexed with a row of the clip table: its position in `rows`, or one that is out of range."""
    positions = torch.full((int(rows.max()) + 1,), len(rows))
    positions[rows] = torch.arange(len(rows))
    return positions
