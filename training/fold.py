"""The data of one fold: its split, and the features normalised by its training clips."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from config import Config, Mel
from data.loading.batches import ClipFeatures, DeviceTargets
from data.tables.clips import ClipTable
from data.tables.label_share import with_label_share
from data.tables.splits import Split, split_clips
from training.experiment import Experiment
from training.label_enhancement import enhanced


@dataclass(frozen=True, slots=True)
class FoldData:
    """One fold of an experiment, never changed. `number` is 0 where the data set has splits."""

    experiment: Experiment
    number: int
    split: Split
    table: ClipTable  # of the experiment, with the labels of LABEL_SHARE and ENHANCE_LABELS
    targets: DeviceTargets  # of all clips that have labels
    features: Mapping[str, ClipFeatures]

    @property
    def config(self) -> Config:
        return self.experiment.config

    @property
    def device(self) -> torch.device:
        return self.experiment.device

    def labelled(self, rows: np.ndarray) -> np.ndarray:
        """Those of `rows` that have labels."""
        return rows[self.table.labelled[rows]]

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """The class of each clip of a single-label data set; all have labels."""
        return self.table.targets[rows].argmax(axis=1)


def open_fold(experiment: Experiment, number: int) -> FoldData:
    config = experiment.config
    split = split_clips(experiment.table, number, config.data.protocol, config.data.hold_out)
    table = with_label_share(experiment.table, split.train, config.data.label_share, number)
    targets = experiment.targets
    if config.data.enhance_labels:
        table = enhanced(config, table, split, number)
        targets = DeviceTargets(table.targets, experiment.device)
    features = {
        role: normalised(features, config.mel_of(role), split.train)
        for role, features in experiment.features.items()
    }
    return FoldData(experiment, number, split, table, targets, features)


def normalised(features: ClipFeatures, mel: Mel, train: np.ndarray) -> ClipFeatures:
    """A copy that shares the features in memory and has its own mean and std."""
    scaled = copy.copy(features)
    if mel.normalise != "fixed":
        scaled.normalise(mel.normalise, train)
    elif mel.mean is not None and mel.std is not None:  # as Mel ensures
        scaled.set_normalisation(mel.mean, mel.std)
    return scaled
