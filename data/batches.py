"""Batches of device tensors from one cache or several, over the same clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from config import UserError
from data.augment import Augmentation
from data.columns import Column
from data.mel_cache import MelCache
from data.prefetch import prefetched
from data.targets import Targets

GIGABYTE = 1e9


@dataclass(slots=True)
class Batch:
    """Some clips, by their positions in the clip table.

    rows (B,), views: role -> (B, C, T, F) or (B, C, S), targets (B, K).
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
        self,
        cache: MelCache,
        ids: Column | np.ndarray,
        device: torch.device,
        resident_gigabytes: float,
    ) -> None:
        position = cache.table.rows_of(ids)
        if (position < 0).any():
            lost = ids[np.argmin(position)]
            raise UserError(f"{cache.folder}: no features of clip {lost!r}; run make_mel.py again")
        self.cache, self.position, self.device = cache, position, device
        self.settings = cache.settings
        self.shape = tuple(cache.shape)
        self.mean, self.deviation = torch.zeros(1, device=device), torch.ones(1, device=device)
        fits = len(ids) * int(np.prod(self.shape)) * 2 <= resident_gigabytes * GIGABYTE
        self.resident = cache.gather(position).to(device) if fits else None

    def fetch(self, rows: Tensor) -> Tensor:
        """As cached: float16, on the device where resident, else in memory that it can copy from.

        Any thread may fetch.
        """
        if self.resident is not None:
            return self.resident[rows.to(self.device)]
        position = self.position[rows.cpu().numpy()]
        return self.cache.gather(position, pinned=self.device.type == "cuda")

    def load(self, fetched: Tensor) -> Tensor:
        return fetched.to(self.device, non_blocking=True).float()

    def features(self, rows: Tensor) -> Tensor:
        """As cached, float32 on the device."""
        return self.load(self.fetch(rows))

    def scale(self, features: Tensor) -> Tensor:
        """In place: fresh memory is most of what a batch costs."""
        return features.sub_(self.mean).div_(self.deviation)

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


class DeviceTargets:
    """The targets of a clip table, sparse on a device.

    Indexed with positions in the table, on that device; gives float32 (B, K) and waits for nothing:
    as many places are looked at for each clip as the fullest one of the table has targets.
    """

    def __init__(self, targets: Targets, device: torch.device) -> None:
        self.device, self.classes = device, targets.shape[1]
        self.most = int(np.diff(targets.starts).max())
        self.starts, self.columns, self.values = (
            torch.as_tensor(array, device=device) for array in targets.arrays().values()
        )

    def __getitem__(self, rows: Tensor) -> Tensor:
        found = torch.zeros(len(rows), self.classes, device=self.device)
        if self.most == 0:
            return found
        places = self.starts[rows, None] + torch.arange(self.most, device=self.device)
        beyond = places >= self.starts[rows + 1, None]
        places = places.masked_fill(beyond, 0)
        columns = self.columns[places].long()
        return found.scatter_add_(1, columns, self.values[places].masked_fill(beyond, 0.0))


class Batches:
    """The training clips of one epoch after another, shuffled and disturbed by (seed, epoch) alone.

    Nothing is carried from one epoch to the next: a resumed run sees what an undisturbed one does.
    A thread fetches the next clips where a view is not resident, unless not `prefetch`; the batches
    are the same, bit for bit.
    """

    def __init__(
        self,
        views: Mapping[str, View],
        targets: Tensor | DeviceTargets,
        rows: np.ndarray,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        *,
        prefetch: bool = True,
    ) -> None:
        self.views, self.targets, self.rows = views, targets, torch.as_tensor(rows)
        self.batch_size, self.seed, self.augmentation = batch_size, seed, augmentation
        self.prefetch = prefetch and any(view.resident is None for view in views.values())

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = self.rows[torch.randperm(len(self.rows), generator=generator)]
        batches = order.split(self.batch_size)
        with closing(self.fetched(batches)) as all_fetched:
            for rows, fetched in zip(batches, all_fetched, strict=True):
                views = {role: view.load(fetched[role]) for role, view in self.views.items()}
                targets = self.targets[rows.to(self.targets.device)]
                if self.augmentation is not None:
                    drawn = self.augmentation.draw(len(rows), generator).to(targets.device)
                    targets = drawn.mix(targets)
                    for role, view in self.views.items():
                        views[role] = self.augmentation.render(views[role], drawn, view.settings)
                scaled = {role: view.scale(views[role]) for role, view in self.views.items()}
                yield Batch(rows, scaled, targets)

    def fetched(self, batches: Iterable[Tensor]) -> Iterator[dict[str, Tensor]]:
        """What each role's view fetches for one batch after another."""

        def fetch(rows: Tensor) -> dict[str, Tensor]:
            return {role: view.fetch(rows) for role, view in self.views.items()}

        yield from prefetched(fetch, batches) if self.prefetch else map(fetch, batches)
