"""An experiment: what all trainings of a configuration share, opened once and never changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from config import Config, ConfigError, choose
from data.augment import Augmentation
from data.features.mel_cache import MelCache, cache_folder, recordings_folder
from data.loading.batches import ClipFeatures, DeviceTargets
from data.tables.clips import ClipTable, Dataset
from data.tables.splits import folds_of
from training.checks import (
    check_config,
    is_augmented,
    outputs_repeat,
    teacher_losses,
    with_variants,
)
from training.device import choose_device, feature_memory_gb
from training.distributed import on_this_machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """The clips and features of a configuration. `fold.open_fold` gives those of one fold.

    config: as given, with the VARIANTS of the task where none are.
    features: "teacher" and "student" (or one of them) -> those of all clips, not normalised.
    folds: the numbers of the folds to run; (0,) where the data set has splits.
    """

    config: Config
    device: torch.device
    dataset: Dataset
    table: ClipTable
    features: Mapping[str, ClipFeatures]
    targets: DeviceTargets
    folds: tuple[int, ...]

    @classmethod
    def open(cls, config: Config, *roles: str) -> Experiment:
        """With the features of these roles.

        Raises ConfigError for a wrong configuration before any data is read, UserError for features
        that are not there.
        """
        device, dataset = choose_device(config.run.device), check_config(config, *roles)
        config = with_variants(config, dataset.task)
        for role in roles:
            build_augmentation(config, dataset, role, (role,))  # raises for what does not fit
        caches = {role: MelCache.open(cache_folder(config, role)) for role in roles}
        table = caches[roles[0]].table
        recordings = dict.fromkeys(roles)
        if dataset.recording_seconds:
            recordings = {role: MelCache.open(recordings_folder(config, role)) for role in roles}
        for role in roles:
            clips_with_response(config, role, table)  # raises for an unknown device
        every = filter(None, (*caches.values(), *recordings.values()))
        for cache in {cache.folder: cache for cache in every}.values():
            cache.check(*on_this_machine())
        return cls(
            config=config,
            device=device,
            dataset=dataset,
            table=table,
            features={
                role: ClipFeatures(
                    cache,
                    table.ids,
                    device,
                    feature_memory_gb(config.run.feature_memory_gb, device),
                    recordings[role],
                )
                for role, cache in caches.items()
            },
            targets=DeviceTargets(table.targets, device),
            folds=folds_of(table, config.data.folds),
        )

    @property
    def metric(self) -> str:
        """The headline of the results; on validation clips, the score that selects the epoch."""
        return self.dataset.metric

    @property
    def clip_seconds(self) -> float:
        return clip_seconds(self.config, self.dataset)

    @property
    def teacher_losses(self) -> str:
        return teacher_losses(self.config, self.table.task)

    def feature_memory_gb(self) -> float:
        """What a cache may take of the device's memory, as it is now."""
        return feature_memory_gb(self.config.run.feature_memory_gb, self.device)

    def is_augmented(self, role: str) -> bool:
        return is_augmented(self.config, self.dataset, role)

    def outputs_repeat(self) -> bool:
        return outputs_repeat(self.config, self.dataset)

    def augmentation(self, role: str, inputs: Collection[str]) -> Augmentation:
        return build_augmentation(self.config, self.dataset, role, inputs, self.table)


def clip_seconds(config: Config, dataset: Dataset) -> float:
    return config.data.clip_seconds or dataset.clip_seconds


def build_augmentation(
    config: Config,
    dataset: Dataset,
    role: str,
    inputs: Collection[str],
    table: ClipTable | None = None,
) -> Augmentation:
    """[augment] of a role's training, over the frequencies of all front ends among its `inputs`.

    Raises ConfigError for what does not fit the clips or one of the front ends.
    """
    front_ends = [config.mel_of(name) for name in inputs]
    augmentation = Augmentation(
        config.augment_of(role),
        clip_seconds(config, dataset),
        max(front_end.sample_rate / 2 for front_end in front_ends),
        None if table is None else clips_with_response(config, role, table),
        dataset.recording_seconds,
    )
    for front_end in front_ends:
        augmentation.check(front_end)
    return augmentation


def clips_with_response(config: Config, role: str, table: ClipTable) -> torch.Tensor | None:
    """(clips,) bool: which clips an impulse response may be applied to; None: all.

    Raises ConfigError for a device that no clip is recorded with.
    """
    devices = config.augment_of(role).impulse_response_devices
    if not devices:
        return None
    where = "[augment] impulse_response_devices"
    if "device" not in table.columns:
        raise ConfigError(where, f"found {devices[0]!r}, but no clip names its device")
    found = table.columns["device"][:]
    known = dict.fromkeys(found)
    for device in devices:
        choose(where, known, device)
    return torch.from_numpy(np.isin(found, devices))
