"""Batches of device tensors from one cache or several, over the same clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from config import UserError
from data.augment import Augmentation
from data.mel_cache import MelCache

GIGABYTE = 1e9


@dataclass(slots=True)
class Batch:
    """Some clips, by their positions in the clip table.

    rows (B,), views: role -> (B, C, T, F) or (B, C, S), targets (B, K). Where several processes
    share a batch, the views alone are this one's `share`: rows and targets are the whole batch's.
    """

    rows: Tensor
    views: dict[str, Tensor]
    targets: Tensor


class View:
    """What one role hears: the features of every clip, on the device where they fit.

    Indexed with positions in the clip table, on any device; gives float32 (B, C, T, F) or (B, C, S)
    on `device`, less `mean` and over `deviation` once `normalise` has measured them.
    """

    def __init__(
        self, cache: MelCache, ids: np.ndarray, device: torch.device, resident_gigabytes: float
    ) -> None:
        position = cache.table.frame.index.get_indexer(ids)
        if (position < 0).any():
            lost = ids[np.argmin(position)]
            raise UserError(f"{cache.folder}: no features of clip {lost!r}; run make_mel.py again")
        self.cache, self.position, self.device = cache, position, device
        self.settings = cache.settings
        self.shape = tuple(cache.shape)
        self.mean, self.deviation = torch.zeros(1, device=device), torch.ones(1, device=device)
        fits = len(ids) * int(np.prod(self.shape)) * 2 <= resident_gigabytes * GIGABYTE
        self.resident = cache.gather(position).to(device) if fits else None

    def features(self, rows: Tensor) -> Tensor:
        """As cached, float32 on the device."""
        if self.resident is not None:
            return self.resident[rows.to(self.device)].float()
        found = self.cache.gather(self.position[rows.cpu().numpy()])
        return found.to(self.device, non_blocking=True).float()

    def scale(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.scale(self.features(rows))

    def normalise(self, kind: Literal["none", "global", "bands"], rows: np.ndarray) -> None:
        """Measure mean and standard deviation of the training clips: one pair, or a pair a band."""
        if kind == "none":
            self.mean, self.deviation = self.mean.new_zeros(1), self.deviation.new_ones(1)
            return
        total, squares, count = 0.0, 0.0, 0
        for chunk in torch.as_tensor(rows).split(64):
            values = self.features(chunk).double()
            axes = tuple(range(values.ndim - (kind == "bands")))
            total = total + values.sum(axes)
            squares = squares + values.square().sum(axes)
            count += values.numel() // (values.shape[-1] if kind == "bands" else 1)
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(1e-10)
        self.mean, self.deviation = mean.float().reshape(-1), variance.sqrt().float().reshape(-1)


class Batches:
    """The training clips of one epoch after another, shuffled and disturbed by (seed, epoch) alone.

    Nothing is carried from one epoch to the next: a resumed run sees what an undisturbed one does.
    Of `world` processes each draws the same batches of `batch_size` and renders its share of them.
    """

    def __init__(
        self,
        views: Mapping[str, View],
        targets: Tensor,
        rows: np.ndarray,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.views, self.targets, self.rows = views, targets, torch.as_tensor(rows)
        self.batch_size, self.seed, self.augmentation = batch_size, seed, augmentation
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = self.rows[torch.randperm(len(self.rows), generator=generator)]
        for rows in order.split(self.batch_size):
            targets = self.targets[rows.to(self.targets.device)]
            mine = torch.arange(len(rows))[share(len(rows), self.rank, self.world)]
            if self.augmentation is None:
                views = {role: view[rows[mine]] for role, view in self.views.items()}
                yield Batch(rows, views, targets)
                continue
            drawn = self.augmentation.draw(len(rows), generator)
            positions, part = drawn.take(mine)
            part = part.to(targets.device)
            views = {}
            for role, view in self.views.items():
                features = view.features(rows[positions])
                rendered = self.augmentation.render(features, part, view.settings)
                views[role] = view.scale(rendered[: len(mine)])
            yield Batch(rows, views, drawn.to(targets.device).mix(targets))


def share(count: int, rank: int, world: int) -> slice:
    """The rank's part of `count` things in order; the parts differ by one at most.

    Where there are fewer things than processes, one without a part of its own takes one all the
    same, which then counts for another: no process computes on nothing.
    """
    start = count * rank // world
    return slice(start, max(count * (rank + 1) // world, start + 1))
