"""The batches of a training: which clips, augmented how, in which order."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from config import Config, ConfigError, RoleSettings, UserError
from data.loading.batches import Batches
from data.loading.replay import Replay
from data.loading.sampling import Balanced, HalfAndHalf, Repeated, Sampler
from training.distributed import rank, world
from training.fold import FoldData
from training.role import TEACHER, Role
from training.role_settings import settings_of

MAX_POS_WEIGHT = 100.0  # of POS_WEIGHT = balanced


def build_batches(
    fold: FoldData,
    role: Role,
    seed: int,
    inputs: Collection[str],
    replay: Replay | None = None,
    pair: Sequence[int] = (),
    *,
    labelled_only: bool = False,
) -> Batches:
    """The training clips with the features of each of `inputs`, in batches of the role's size.

    Where a `pair` of classes is given, half of each batch are clips of these. With `labelled_only`,
    an epoch may repeat clips, see `repeats_labelled`. Raises UserError for no clips.
    """
    settings = settings_of(fold.config, role, seed, fold.number)
    batch_size = settings.batch_size
    if batch_size < world():
        found = f"found {batch_size}, expected at least one clip for each of {world()} processes"
        raise ConfigError(f"[{role}] batch_size", found)
    experiment, rows, labelled = fold.experiment, fold.split.train, None
    if labelled_only and settings.epochs > 0:  # without epochs nothing is trained
        rows = fold.labelled(rows)
        if not len(rows):
            raise UserError(f"{role}: no training clip has a label ({fold.split.test_name})")
    elif len(fold.labelled(rows)) < len(rows):
        labelled = torch.as_tensor(fold.table.labelled, device=fold.device)
    clips: np.ndarray | Sampler = rows
    epoch_clips = len(fold.split.train) if repeats_labelled(fold.config, role) else len(rows)
    if 0 < len(rows) < epoch_clips:
        clips = Repeated(rows, epoch_clips)
    if pair:
        in_pair = np.isin(fold.labels(rows), pair)
        clips = HalfAndHalf(rows[in_pair], rows[~in_pair], batch_size)
    elif settings.sampling == "balanced":
        targets = fold.table.targets.take(rows)
        clips = Balanced(rows, targets, settings.epoch_clips or epoch_clips)
    augmented = experiment.is_augmented(role.name)
    return Batches(
        {name: fold.features[name] for name in inputs},
        fold.targets,
        clips,
        batch_size,
        seed,
        experiment.augmentation(role.name, inputs) if augmented else None,
        replay,
        labelled=labelled,
        rank=rank(),
        world=world(),
    )


def repeats_labelled(config: Config, role: Role) -> bool:
    """Whether epochs of labels alone are as long as those of distillation, where other clips have
    no labels: of students, and of the models of [matrix], which are compared with students.
    """
    return role.name == "student" or (role == TEACHER and bool(config.matrix.options))


def positive_weight(fold: FoldData, settings: RoleSettings) -> Tensor | None:
    """POS_WEIGHT of each class, (K,) on the device; None where it is 1."""
    if not settings.pos_weight:
        return None
    targets = fold.table.targets.take(fold.labelled(fold.split.train))
    if settings.pos_weight == "balanced":
        positives = targets.sum(np.ones(len(targets)))
        negatives = len(targets) - positives
        smallest = negatives / MAX_POS_WEIGHT
        weight = negatives / np.maximum(positives, np.maximum(smallest, 1e-9))
    else:
        weight = np.full(targets.shape[1], float(settings.pos_weight))
    return torch.as_tensor(weight, dtype=torch.float32, device=fold.device)


def build_replay(fold: FoldData, seed: int, *, labelled_only: bool = False) -> Replay | None:
    """The AUGMENTED_VIEWS that students and their teachers share, of the clips of `build_batches`;
    None where every epoch samples its own augmentation.
    """
    views, rows = fold.config.distillation.augmented_views, fold.split.train
    if not views:
        return None
    augmentation = fold.experiment.augmentation("student", ("teacher", "student"))
    return Replay(augmentation, fold.labelled(rows) if labelled_only else rows, views, seed)
