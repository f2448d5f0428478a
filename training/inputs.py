"""The batches of a training: which clips, augmented how, in which order."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from config import ConfigError
from data.loading.batches import Batches
from data.loading.replay import Replay
from data.loading.sampling import Balanced, HalfAndHalf, Sampler
from training.distributed import rank, world
from training.fold import FoldData
from training.role import Role
from training.role_settings import settings_of


def build_batches(
    fold: FoldData,
    role: Role,
    seed: int,
    inputs: Collection[str],
    replay: Replay | None = None,
    pair: Sequence[int] = (),
) -> Batches:
    """The training clips with the features of each of `inputs`, in batches of the role's size.

    Where a `pair` of classes is given, half of each batch are clips of these.
    """
    settings = settings_of(fold.config, role, seed, fold.number)
    batch_size = settings.batch_size
    if batch_size < world():
        found = f"found {batch_size}, expected at least one clip for each of {world()} processes"
        raise ConfigError(f"[{role}] batch_size", found)
    experiment, rows = fold.experiment, fold.split.train
    clips: np.ndarray | Sampler = rows
    if pair:
        in_pair = np.isin(fold.labels(rows), pair)
        clips = HalfAndHalf(rows[in_pair], rows[~in_pair], batch_size)
    elif settings.sampling == "balanced":
        clips = Balanced(rows, fold.table.targets.take(rows), settings.epoch_clips)
    augmented = experiment.is_augmented(role.name)
    return Batches(
        {name: fold.features[name] for name in inputs},
        experiment.targets,
        clips,
        batch_size,
        seed,
        experiment.augmentation(role.name, inputs) if augmented else None,
        replay,
        rank=rank(),
        world=world(),
    )


def build_replay(fold: FoldData, seed: int) -> Replay | None:
    """The AUGMENTED_VIEWS that a student and its teachers share; None where every epoch samples its
    own augmentation.
    """
    views = fold.config.distillation.augmented_views
    if not views:
        return None
    augmentation = fold.experiment.augmentation("student", ("teacher", "student"))
    return Replay(augmentation, fold.split.train, views, seed)
