"""Batches of device tensors from one cache or several, over the same clips."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import closing
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
FLOAT16_EPS = torch.finfo(torch.float16).eps


@dataclasses.dataclass(slots=True)
class Batch:
    """Some clips, by their positions in the clip table.

    rows (B,), inputs: role -> (B, C, T, F) or (B, C, S), targets (B, K). Where several processes
    share a batch, only the inputs are this process's share: rows and targets are of the full batch.
    `view_index` is that of a replayed view; 0 without replay. `labelled` (B,) bool: which targets
    are known, after mixing with others; None: all. `mix` (B, B): the share of each clip in each
    input; None where none is mixed with another, and with replay.
    """

    rows: Tensor
    inputs: dict[str, Tensor]
    targets: Tensor
    view_index: int = 0
    labelled: Tensor | None = None
    mix: Tensor | None = None


class ClipFeatures:
    """The features of every clip for one role, on the device where they fit.

    Indexed with positions in the clip table, on any device; gives float32 (B, C, T, F) or (B, C, S)
    on `device`: (x - mean) / std, as measured by `normalise` or set by `set_normalisation`.
    With `recordings`, a cache of the recordings that the training clips are slices of, training
    crops these instead of the clips; everything else uses the clips.
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
        self.set_normalisation(0.0, 1.0)
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
    def reads_disk(self) -> bool:
        """Whether training reads its features from disk."""
        return (self.recordings or self).resident is None

    def fetch(self, rows: Tensor, view: int | None = None) -> Tensor:
        """The features to render in training, see `stored`, of a replayed view where there are any.
        Thread-safe.
        """
        if self.recordings:
            return self.recordings.stored(torch.from_numpy(self.recording[rows.cpu().numpy()]))
        return self.stored(rows)

    def stored(self, rows: Tensor) -> Tensor:
        """As cached: float16, on the device where resident, else in (pinned) memory."""
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
        """(x - mean) / std, in place: allocation is most of the cost of a batch."""
        return features.sub_(self.mean).div_(self.std)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.scale(self.features(rows))

    def render(
        self, fetched: Tensor, augmentation: Augmentation | None, params: AugmentParams | None
    ) -> Tensor:
        """The augmented clips that `params` has styles for; further ones are only partners."""
        features = self.load(fetched)
        if params is not None:
            assert augmentation is not None  # where there are parameters
            params = params.to(features.device)
            settings, steps = self.settings, self.shape[1]
            features = augmentation.render(features, params, settings, self.mean, steps)
        return self.scale(features)

    def augmented(self, rows: Tensor, augmentation: Augmentation, params: AugmentParams) -> Tensor:
        return self.render(self.fetch(rows), augmentation, params)

    def set_normalisation(self, mean: float, std: float) -> None:
        """Use this mean and std for all bands."""
        self.mean = torch.full((1,), mean, device=self.device)
        self.std = torch.full((1,), std, device=self.device)

    def normalise(self, kind: Literal["none", "global", "bands"], rows: np.ndarray) -> None:
        """Measure mean and standard deviation of the training clips, global or per band.

        Features that are constant in float16, such as those of an empty mel filter, have std 1:
        exports and augmentation do not round them.
        """
        if kind == "none":
            self.set_normalisation(0.0, 1.0)
            return
        total, squares, count = torch.zeros(()), torch.zeros(()), 0
        for chunk in torch.as_tensor(rows).split(64):
            values = self.features(chunk).cpu().double()  # MPS has no float64
            axes = tuple(range(values.ndim - (kind == "bands")))
            total = total + values.sum(axes)
            squares = squares + values.square().sum(axes)
            count += values.numel() // (values.shape[-1] if kind == "bands" else 1)
        mean = total / count
        variance = squares / count - mean.square()
        std = variance.clamp_min(1e-10).sqrt()
        std = torch.where(variance <= (FLOAT16_EPS * mean).square(), 1.0, std)
        self.mean = mean.float().reshape(-1).to(self.device)
        self.std = std.float().reshape(-1).to(self.device)


def rows_in(cache: MelCache, ids: Column | np.ndarray) -> np.ndarray:
    """The row of each id. Raises UserError that names a missing one."""
    rows = cache.table.rows_of(ids)
    if (rows < 0).any():
        missing = ids[np.argmin(rows)]
        raise UserError(f"{cache.folder}: no features of clip {missing!r}; run make_mel.py again")
    return rows


class DeviceTargets:
    """The targets of a clip table, sparse on a device.

    Indexed with positions in the table, on that device; gives float32 (B, K) without synchronising:
    for each clip it reads as many entries as the clip with most targets has.
    """

    def __init__(self, targets: Targets, device: torch.device) -> None:
        self.device, self.classes = device, targets.shape[1]
        matrix = targets.matrix
        self.max_labels = int(np.diff(matrix.indptr).max())
        self.starts, self.columns, self.values = (
            torch.as_tensor(array, device=device)
            for array in (matrix.indptr, matrix.indices, matrix.data)
        )

    def __getitem__(self, rows: Tensor) -> Tensor:
        found = torch.zeros(len(rows), self.classes, device=self.device)
        if self.max_labels == 0:
            return found
        places = self.starts[rows, None] + torch.arange(self.max_labels, device=self.device)
        beyond = places >= self.starts[rows + 1, None]
        places = places.masked_fill(beyond, 0)
        columns = self.columns[places].long()
        return found.scatter_add_(1, columns, self.values[places].masked_fill(beyond, 0.0))


class Plan(NamedTuple):
    """One batch before its features are fetched."""

    rows: Tensor  # (B,) its clips
    sources: Tensor  # these, followed by their partners
    params: AugmentParams | None  # their augmentation; partners are positions in `sources`
    fetched: Tensor  # those of `sources` that this process renders its share from
    share: AugmentParams | None  # of this process's share; partners are positions in `fetched`
    view: int | None  # the replayed view that they are of


class Batches:
    """The batches of each epoch, shuffled and augmented by (seed, epoch) only.

    With `replay` they are its stored views. No state is carried from one epoch to the next: a
    resumed run gets the same batches as an uninterrupted one. Each of `world` processes samples the
    same batches of `batch_size` and renders its share of them. With `prefetch`, a thread fetches
    the next clips where the features of a role are not resident; the batches are bit-identical.
    `labelled` (clips,) bool, on the device of the targets: which clips have labels; None: all.
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
        labelled: Tensor | None = None,
        prefetch: bool = True,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.features, self.targets, self.labelled = features, targets, labelled
        self.sampler = Shuffled(rows) if isinstance(rows, np.ndarray) else rows
        self.batch_size, self.seed, self.replay = batch_size, seed, replay
        self.augmentation = replay.augmentation if replay else augmentation
        self.prefetch = prefetch and any(one.reads_disk for one in features.values())
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        plans = self.plans(epoch)
        here = (self.fetch(plan) for plan in plans)
        batches = prefetched(self.fetch, plans) if self.prefetch else here
        with closing(batches):
            for plan, fetched in batches:
                inputs = {
                    role: features.render(fetched[role], self.augmentation, plan.share)
                    for role, features in self.features.items()
                }
                targets = self.targets[plan.sources.to(self.targets.device)]
                if plan.params is not None:
                    targets = plan.params.to(targets.device).mix_targets(targets)[: len(plan.rows)]
                labelled, mix = self.labelled_of(plan), self.mix_of(plan)
                yield Batch(plan.rows, inputs, targets, plan.view or 0, labelled, mix)

    def labelled_of(self, plan: Plan) -> Tensor | None:
        if self.labelled is None:
            return None
        found = self.labelled[plan.sources.to(self.labelled.device)]
        if plan.params is not None:
            found = plan.params.to(found.device).unmixed(found)[: len(plan.rows)]
        return found

    def mix_of(self, plan: Plan) -> Tensor | None:
        if self.replay or plan.params is None or not plan.params.mixes:
            return None
        return plan.params.mix_targets(torch.eye(len(plan.rows))).to(self.targets.device)

    def plans(self, epoch: int) -> Iterator[Plan]:
        view = epoch % len(self.replay) if self.replay else None
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        for rows in self.sampler.order(generator).split(self.batch_size):
            own = torch.arange(len(rows))[share(len(rows), self.rank, self.world)]
            if self.replay and view is not None:
                sources, params = self.replay.take(rows, view)
            elif self.augmentation:
                sources, params = rows, self.augmentation.sample(rows, generator, epoch)
            else:
                sources, params = rows, None
            if len(own) == len(rows):
                fetched, part = sources, params
            elif self.replay and view is not None:
                fetched, part = self.replay.take(rows[own], view)
            elif params is None:
                fetched, part = rows[own], None
            else:
                positions, part = params.take(own)
                fetched = rows[positions]
            yield Plan(rows, sources, params, fetched, part, view)

    def fetch(self, plan: Plan) -> tuple[Plan, dict[str, Tensor]]:
        fetched = {role: f.fetch(plan.fetched, plan.view) for role, f in self.features.items()}
        return plan, fetched


def share(count: int, rank: int, world: int) -> slice:
    """The share of a rank of `count` items in order; shares differ by one item at most.

    Where there are fewer items than processes, a process without a share gets one of another
    process, which counts only there: no process has an empty batch.
    """
    start = count * rank // world
    return slice(start, max(count * (rank + 1) // world, start + 1))
