"""What is checked before the work, so that no training refuses what was prepared for hours."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping

import numpy as np

from config import Config, Mel
from data.features.front_end import FrontEnd, clip_shape
from data.tables.clips import ClipTable, Dataset
from data.tables.splits import Split, folds_of, split_clips
from training.builders import build_architecture
from training.checks import (
    check_config,
    check_defined,
    check_labels,
    check_schedule,
    is_defined,
)
from training.class_order import some_of
from training.experiment import Experiment, build_augmentation, clip_seconds, clips_with_response
from training.fold import FoldData, open_fold

ROLES = ("teacher", "student")
MOST_EMPTY = 0.1  # of mel bands that are empty filters; of published front ends 0.05 are


def check_settings(config: Config) -> Dataset:
    """The data set. Raises ConfigError for what training refuses in a configuration alone."""
    dataset = check_config(config, *ROLES)
    for role in ROLES:
        build_augmentation(config, dataset, role, (role,))
    return dataset


def check_table(config: Config, dataset: Dataset, table: ClipTable) -> dict[int, Split]:
    """The split of each fold. Raises ConfigError or UserError for what training refuses in the
    labels, groups and splits of the clips, and for models that do not take them.
    """
    for role in ROLES:
        check_labels(config, table, role)
        clips_with_response(config, role, table)
        shape = clip_shape(config.mel_of(role), clip_seconds(config, dataset))
        build_architecture(config, role, len(table.classes), shape)
    splits = splits_of(config, table)
    for split in splits.values():
        check_defined(dataset.metric, table, split)
        for role in ROLES[1:] if config.run.teacher_run else ROLES:  # those that are trained
            check_schedule(config, role, split)
    return splits


def splits_of(config: Config, table: ClipTable) -> dict[int, Split]:
    """The split of each fold. Raises ConfigError or UserError for what is wrong in one of them."""
    protocol, hold_out = config.data.protocol, config.data.hold_out
    folds = folds_of(table, config.data.folds)
    return {fold: split_clips(table, fold, protocol, hold_out) for fold in folds}


def open_folds(experiment: Experiment, *trained: str) -> list[FoldData]:
    """All folds of a run. Raises ConfigError or UserError for what is wrong in one of them.

    `trained`: "teacher" or "student", where one is to be trained.
    """
    folds = [open_fold(experiment, number) for number in experiment.folds]
    for fold in folds:
        check_defined(experiment.dataset.metric, fold.table, fold.split)
        for role in trained:
            check_schedule(experiment.config, role, fold.split)
    return folds


def doubtful(
    config: Config, dataset: Dataset, table: ClipTable, splits: Mapping[int, Split]
) -> Iterator[str]:
    """What training accepts and is probably a mistake: one line each. `splits`: of each fold."""
    for role in ROLES:
        mel = config.mel_of(role)
        if (empty := empty_filters(mel)) > MOST_EMPTY * mel.num_bands:
            yield (
                f"{empty} of the {mel.num_bands} mel bands of the {role} are empty filters; lower "
                "NUM_BANDS or raise FFT_SIZE"
            )
    if table.task == "single_label" and len(table.classes) == 1:
        yield f"the data set has one class alone, {table.classes[0]!r}"
    names: dict[str, str] = {}
    for name in table.classes:
        if (other := names.setdefault(simplified(name), name)) != name:
            yield f"the classes {other!r} and {name!r} differ in case or spaces alone"
    for fold, split in splits.items():
        if not is_defined(dataset.metric, table, split.test):
            clips = f"the {len(split.test)} clips of {split.test_name}"
            yield f"{dataset.metric} is undefined on {clips}"
        for part, own in (("training", split.train), ("test", split.test)):
            rows = own[table.labelled[own]]
            without = np.asarray(table.targets.take(rows).matrix.sum(axis=0) == 0).ravel()
            if len(rows) and without.any():
                named = some_of([table.classes[k] for k in np.flatnonzero(without)])
                yield f"no {part} clip{f' of fold {fold}' if fold else ''} has the label {named}"


def empty_filters(mel: Mel) -> int:
    """The number of mel bands without a frequency of the spectrum."""
    if mel.front_end == "waveform":
        return 0
    return int((FrontEnd(mel).filters == 0).all(dim=0).sum())


def simplified(name: str) -> str:
    """Without case, spaces, `_` and `-`, in one Unicode form."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(text.replace("_", " ").replace("-", " ").split())
