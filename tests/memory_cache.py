"""Features in memory that replace a cache on disk."""

from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor

from config import Mel
from data.tables.clips import ClipTable


def memory_cache(
    table: ClipTable, features: Tensor, settings: Mel, folder: str = "features"
) -> SimpleNamespace:
    """The attributes of a MelCache that ClipFeatures uses.

    Shapes: features (N, C, T, F) or (N, C, S).
    """
    return SimpleNamespace(
        table=table,
        shape=tuple(features.shape[1:]),
        settings=settings,
        folder=Path(folder),
        gather=lambda rows, **_: features[torch.as_tensor(rows)],
    )
