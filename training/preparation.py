"""What make_mel.py checks before it reads a recording, so that no training refuses its features."""

from __future__ import annotations

from config import Config
from data.features.front_end import clip_shape
from data.tables.clips import ClipTable, Dataset
from data.tables.splits import folds_of, split_clips
from training.builders import build_architecture
from training.experiment import build_augmentation, clip_seconds, clips_with_response
from training.validation import check_config, check_labels

ROLES = ("teacher", "student")


def check_settings(config: Config) -> Dataset:
    """The data set. Raises ConfigError for what training refuses in a configuration alone."""
    dataset = check_config(config, *ROLES)
    for role in ROLES:
        build_augmentation(config, dataset, role, (role,))
    return dataset


def check_table(config: Config, dataset: Dataset, table: ClipTable) -> None:
    """Raises ConfigError or UserError for what training refuses in the labels, groups and splits of
    the clips, and for models that do not take them.
    """
    for role in ROLES:
        check_labels(config, table, role)
        clips_with_response(config, role, table)
        shape = clip_shape(config.mel_of(role), clip_seconds(config, dataset))
        build_architecture(config, role, len(table.classes), shape)
    for fold in folds_of(table, config.data.folds):
        split_clips(table, fold, config.data.protocol, config.data.hold_out)
