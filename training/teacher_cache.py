"""A frozen teacher says the same of an undisturbed clip in every epoch: ask it once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from data.batches import GIGABYTE, Batch, View
from models.output import Output
from training.steps import OnlineTeacher, Teacher


class CachedTeacher:
    """Looks up what the teacher said of each training clip: logits, embedding, last map."""

    def __init__(self, rows: np.ndarray, table: Output) -> None:
        self.position = torch.full((int(rows.max()) + 1,), -1)
        self.position[rows] = torch.arange(len(rows))
        self.table = table

    def outputs(self, batch: Batch) -> Output:
        at = self.position[batch.rows].to(self.table.logits.device)
        return Output(self.table.logits[at], self.table.embedding[at], (self.table.maps[-1][at],))


@torch.no_grad()
def cached_teacher(
    model: nn.Module, view: View, rows: np.ndarray, resident_gigabytes: float, batch_size: int = 32
) -> Teacher:
    """A CachedTeacher of the training clips; an OnlineTeacher where its outputs do not fit."""
    online = OnlineTeacher(model)
    chunks = torch.as_tensor(rows).split(batch_size)
    first = model(view[chunks[0]])
    size = sum(t[0].numel() for t in (first.logits, first.embedding, first.maps[-1]))
    if size * 4 * len(rows) > resident_gigabytes * GIGABYTE:
        return online
    outputs = [first, *(model(view[chunk]) for chunk in chunks[1:])]

    def whole(tensors: list[Tensor]) -> Tensor:
        return torch.cat([tensor.float() for tensor in tensors])

    return CachedTeacher(
        rows,
        Output(
            whole([o.logits for o in outputs]),
            whole([o.embedding for o in outputs]),
            (whole([o.maps[-1] for o in outputs]),),
        ),
    )
