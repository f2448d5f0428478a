"""Batches of device tensors from one cache or several, over the same clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import closing, nullcontext
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from config import UserError
from data.augment import Augmentation, AugmentParams
from data.features.mel_cache import MelCache
from data.loading.prefetch import prefetched
from data.loading.replay import Replay
from data.loading.sampling import Sampler, Shuffled
from data.tables.columns import Column
from data.tables.targets import Targets

GIGABYTE = 1e9


@dataclasses.dataclass(slots=True)
class Batch:
    """Some clips, by their positions in the clip table.

    rows (B,), inputs: role -> (B, C, T, F) or (B, C, S), targets (B, K). Where several processes
    share a batch, the inputs alone are this one's share: rows and targets are the whole batch's.
    `view_index` says which of the views that are replayed this is; 0 where none is.
    """

    rows: Tensor
    inputs: dict[str, Tensor]
    targets: Tensor
    view_index: int = 0


class ClipFeatures:
    """What one role hears: the features of every clip, on the device where they fit.

    Indexed with positions in the clip table, on any device; gives float32 (B, C, T, F) or (B, C, S)
    on `device`, less `mean` and over `std` once `normalise` has measured or `fix` set them.
    With `recordings`, a cache of what its training clips are slices of, training renders these in
    the place of the clips; all else hears the clips.
    """

    def __init__(
        self,
        cache: MelCache,
        ids: Column | np.ndarray,
        device: torch.device,
        feature_memory_gb: float,
        recordings: MelCache | None = None,
    ) -> None:
        position = rows_in(cache, ids)
        self.cache, self.position, self.device = cache, position, device
        self.settings = cache.settings
        self.shape = tuple(cache.shape)
        self.fix(0.0, 1.0)
        gigabytes = len(ids) * int(np.prod(self.shape)) * 2 / GIGABYTE
        fits = gigabytes <= feature_memory_gb
        self.resident = cache.gather(position).to(device) if fits else None
        self.recordings = None
        if recordings is not None:
            names, every = cache.table.columns["recording"].take(position), recordings.table.ids
            slices = names.raw() != b""
            self.recording = np.full(len(names), len(every))  # no position: out of range
            self.recording[slices] = rows_in(recordings, names.take(slices))
            left = feature_memory_gb - (gigabytes if fits else 0)
            self.recordings = ClipFeatures(recordings, every, device, left)

    @property
    def waits(self) -> bool:
        """Whether what training renders comes from the disk."""
        return (self.recordings or self).resident is None

    def fetch(self, rows: Tensor) -> Tensor:
        """What training renders, see `stored`. Any thread may fetch."""
        if self.recordings:
            return self.recordings.stored(torch.from_numpy(self.recording[rows.cpu().numpy()]))
        return self.stored(rows)

    def stored(self, rows: Tensor) -> Tensor:
        """As cached: float16, on the device where resident, else in memory to copy from."""
        if self.resident is not None:
            return self.resident[rows.to(self.device)]
        position = self.position[rows.cpu().numpy()]
        return self.cache.gather(position, pinned=self.device.type == "cuda")

    def load(self, fetched: Tensor) -> Tensor:
        return fetched.to(self.device, non_blocking=True).float()

    def features(self, rows: Tensor) -> Tensor:
        """As cached, float32 on the device."""
        return self.load(self.stored(rows))

    def scale(self, features: Tensor) -> Tensor:
        """In place: fresh memory is most of what a batch costs."""
        return features.sub_(self.mean).div_(self.std)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.scale(self.features(rows))

    def render(
        self, fetched: Tensor, augmentation: Augmentation | None, drawn: AugmentParams | None
    ) -> Tensor:
        """The clips that `drawn` has styles for; further ones are there to be mixed with them."""
        features = self.load(fetched)
        if drawn is not None:
            drawn = drawn.to(features.device)
            settings, steps = self.settings, self.shape[1]
            features = augmentation.render(features, drawn, settings, self.mean, steps)
        return self.scale(features)

    def augmented(self, rows: Tensor, augmentation: Augmentation, drawn: AugmentParams) -> Tensor:
        return self.render(self.fetch(rows), augmentation, drawn)

    def fix(self, mean: float, std: float) -> None:
        """Take one mean and one std as they are given."""
        self.mean = torch.full((1,), mean, device=self.device)
        self.std = torch.full((1,), std, device=self.device)

    def normalise(self, kind: Literal["none", "global", "bands"], rows: np.ndarray) -> None:
        """Measure mean and standard deviation of the training clips: one pair, or a pair a band."""
        if kind == "none":
            self.fix(0.0, 1.0)
            return
        total, squares, count = 0.0, 0.0, 0
        for chunk in torch.as_tensor(rows).split(64):
            values = self.features(chunk).cpu().double()  # MPS knows no float64
            axes = tuple(range(values.ndim - (kind == "bands")))
            total = total + values.sum(axes)
            squares = squares + values.square().sum(axes)
            count += values.numel() // (values.shape[-1] if kind == "bands" else 1)
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(1e-10)
        self.mean = mean.float().reshape(-1).to(self.device)
        self.std = variance.sqrt().float().reshape(-1).to(self.device)


def rows_in(cache: MelCache, ids: Column | np.ndarray) -> np.ndarray:
    """The row of each of the ids. Raises UserError that names one that is not there."""
    rows = cache.table.rows_of(ids)
    if (rows < 0).any():
        lost = ids[np.argmin(rows)]
        raise UserError(f"{cache.folder}: no features of clip {lost!r}; run make_mel.py again")
    return rows


class DeviceTargets:
    """The targets of a clip table, sparse on a device.

    Indexed with positions in the table, on that device; gives float32 (B, K) and waits for nothing:
    as many places are looked at for each clip as the fullest one of the table has targets.
    """

    def __init__(self, targets: Targets, device: torch.device) -> None:
        self.device, self.classes = device, targets.shape[1]
        matrix = targets.matrix
        self.most = int(np.diff(matrix.indptr).max())
        self.starts, self.columns, self.values = (
            torch.as_tensor(array, device=device)
            for array in (matrix.indptr, matrix.indices, matrix.data)
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


class Plan(NamedTuple):
    """One batch before anything of it is fetched."""

    rows: Tensor  # (B,) its clips
    heard: Tensor  # these, and after them any that they are mixed with
    drawn: AugmentParams | None  # what disturbs them; partners are positions in `heard`
    fetched: Tensor  # of `heard`, what this process renders its share from
    share: (
        AugmentParams | None
    )  # what disturbs this process's share; partners are positions in `fetched`


class Batches:
    """The training clips of one epoch after another, shuffled and disturbed by (seed, epoch) alone.

    With `replay` they are disturbed as it was drawn, by its augmentation. Nothing is carried from
    one epoch to the next: a resumed run sees what an undisturbed one does. Of `world` processes
    each draws the same batches of `batch_size` and renders its share of them. A thread fetches the
    next clips where a view is not resident, unless not `prefetch`; the batches are the same, bit
    for bit.
    """

    def __init__(
        self,
        features: Mapping[str, ClipFeatures],
        targets: Tensor | DeviceTargets,
        rows: np.ndarray | Sampler,
        batch_size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        replay: Replay | None = None,
        *,
        prefetch: bool = True,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.features, self.targets = features, targets
        self.sampler = Shuffled(rows) if isinstance(rows, np.ndarray) else rows
        self.batch_size, self.seed, self.replay = batch_size, seed, replay
        self.augmentation = replay.augmentation if replay else augmentation
        self.prefetch = prefetch and any(one.waits for one in features.values())
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        view_index = epoch % len(self.replay) if self.replay else 0
        plans = self.plans(epoch, view_index)
        batches = prefetched(self.fetch, plans) if self.prefetch else map(self.fetch, plans)
        with closing(batches) if self.prefetch else nullcontext():
            for plan, fetched in batches:
                inputs = {
                    role: features.render(fetched[role], self.augmentation, plan.share)
                    for role, features in self.features.items()
                }
                targets = self.targets[plan.heard.to(self.targets.device)]
                if plan.drawn is not None:
                    targets = plan.drawn.to(targets.device).mix(targets)[: len(plan.rows)]
                yield Batch(plan.rows, inputs, targets, view_index)

    def plans(self, epoch: int, view_index: int) -> Iterator[Plan]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        for rows in self.sampler.order(generator).split(self.batch_size):
            mine = torch.arange(len(rows))[share(len(rows), self.rank, self.world)]
            if self.replay:
                heard, drawn = self.replay.take(rows, view_index)
            elif self.augmentation:
                heard, drawn = rows, self.augmentation.sample(rows, generator, epoch)
            else:
                heard, drawn = rows, None
            if len(mine) == len(rows):
                fetched, part = heard, drawn
            elif self.replay:
                fetched, part = self.replay.take(rows[mine], view_index)
            elif drawn is None:
                fetched, part = rows[mine], None
            else:
                positions, part = drawn.take(mine)
                fetched = rows[positions]
            yield Plan(rows, heard, drawn, fetched, part)

    def fetch(self, plan: Plan) -> tuple[Plan, dict[str, Tensor]]:
        return plan, {role: one.fetch(plan.fetched) for role, one in self.features.items()}


def share(count: int, rank: int, world: int) -> slice:
    """The rank's part of `count` things in order; the parts differ by one at most.

    Where there are fewer things than processes, one without a part of its own takes one all the
    same, which then counts for another: no process computes on nothing.
    """
    start = count * rank // world
    return slice(start, max(count * (rank + 1) // world, start + 1))
