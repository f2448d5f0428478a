"""Finished teachers of a variant: online, cached, or an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from config import Mel, UserError
from data.checksums import sha256_of
from data.loading.batches import Batch, ClipFeatures
from data.loading.concatenated import ConcatenatedClips
from data.loading.replay import Replay
from losses.mix import RANDOM, teachers_of
from models.own import code_fingerprint
from models.stored import read_description
from training.builders import build_model, load_weights
from training.checks import model_options, teacher_weights
from training.distributed import rank
from training.embeddings import teacher_on_embeddings
from training.ensembles import ensemble_teacher
from training.fold import FoldData
from training.role import Role
from training.run_folder import teacher_weights_file
from training.steps import OnlineTeacher, Teacher, Tensors
from training.teacher_cache import TeacherCache, outputs_folder, required_outputs

Compile = Callable[[nn.Module], nn.Module]


class RandomTeacher:
    """One of several teachers for each batch, sampled by their weights.

    Which one depends on the clips of the batch and their order alone: it is the same in all
    processes, and in a resumed training.

    Source: switched training of Fukuda et al., Interspeech 2017.
    """

    def __init__(self, teachers: Sequence[Teacher], weights: Sequence[float]) -> None:
        self.teachers, self.weights = teachers, torch.tensor(weights)
        self.input_roles = tuple(
            dict.fromkeys(role for one in teachers for role in one.input_roles)
        )

    def outputs(self, batch: Batch) -> Mapping[str, Tensors]:
        order = (batch.rows.cpu() * torch.arange(1, 1 + len(batch.rows))).sum()
        generator = torch.Generator().manual_seed(int(order))
        chosen = torch.multinomial(self.weights, 1, generator=generator)
        return self.teachers[int(chosen)].outputs(batch)


def build_teachers(
    fold: FoldData, seed: int, variant: str, replay: Replay | None, compiled: Compile
) -> dict[Teacher, float]:
    """The teachers that a variant is distilled from -> the weight of each; none for labels alone.

    `compiled` wraps a model that runs in every step.
    """
    config = fold.config
    found = {
        build_teacher(fold, Role(name), seed, variant, replay, compiled)
        if name in config.teachers()
        else ensemble_teacher(fold, name, seed): weight
        for name, weight in teacher_weights(config, fold.experiment.dataset, variant).items()
    }
    if teachers_of(variant, config.ensemble_members()) == RANDOM:
        return {RandomTeacher(list(found), list(found.values())): 1.0}
    return found


def build_teacher(
    fold: FoldData,
    role: Role,
    seed: int,
    variant: str,
    replay: Replay | None,
    compiled: Compile,
) -> Teacher:
    """A finished teacher or specialist of this seed and fold, as [distillation] TEACHER sets."""
    distillation = fold.config.distillation
    model = read_teacher(fold, role, seed)
    online = OnlineTeacher(compiled(model))
    if distillation.teacher == "online" or not fold.experiment.outputs_repeat():
        return online
    outputs = required_outputs(variant)
    every = set().union(*map(required_outputs, distillation.variants))
    clean = replay is None and distillation.teacher_input != "concatenated"
    if (
        clean
        and fold.config.teacher.freezes_backbone
        and (shared := teacher_on_embeddings(fold, role, model, outputs, every))
    ):
        return shared
    weights = teacher_weights_file(fold.config, role, seed, fold.number)
    cache = open_teacher_cache(fold, model, weights, seed, replay)
    if cached := cache.filled(every, outputs):
        return cached
    if distillation.teacher == "cached" or distillation.teacher_input != "augmented":
        raise UserError(
            f"the outputs of the teacher {weights} that {variant} requires take more than [run] "
            "TEACHER_CACHE_GB; raise it, or set [distillation] TEACHER = auto"
        )
    if rank() == 0:
        print(f"{variant}: the teacher runs online, its outputs take more than TEACHER_CACHE_GB")
    return online


def read_teacher(fold: FoldData, role: Role, seed: int) -> nn.Module:
    """A finished teacher or specialist. Raises UserError."""
    path = teacher_weights_file(fold.config, role, seed, fold.number)
    model = build_model(fold.experiment, role.features, read_description(path).class_map)
    load_weights(model, path, fold.table.classes)
    return model


def open_teacher_cache(
    fold: FoldData, model: nn.Module, weights: Path, seed: int, replay: Replay | None
) -> TeacherCache:
    """Where the outputs of a frozen teacher for the training clips are, or will be, stored."""
    config, features, rows = fold.config, fold.features["teacher"], fold.split.train
    made_from = {
        "weights": sha256_of(weights),
        "model": config.teacher.model,
        "code": code_fingerprint(config.teacher.model),
        "options": model_options(config, "teacher"),
        "normalise": normalisation(config.teacher_mel),
        **features.cache.fingerprints(),
    }
    views = [replay.fingerprint(k) for k in range(len(replay))] if replay else ["none"]
    inputs: ClipFeatures | ConcatenatedClips = features
    if config.distillation.teacher_input == "concatenated":
        inputs = ConcatenatedClips(features, rows, fold.labels(rows), seed)
        views = [f"joined {inputs.fingerprint()}"]
    ids = fold.table.ids[rows]
    folders = [
        outputs_folder(weights.parent / "outputs", {**made_from, "drawn": view}, ids)
        for view in views
    ]
    limits = fold.experiment.feature_memory_gb(), config.run.teacher_cache_gb
    return TeacherCache(model, inputs, rows, replay, folders, *limits)


def normalisation(mel: Mel) -> str:
    """How features are normalised, beyond what the training clips determine."""
    fixed = f" {mel.mean} {mel.std}" if mel.normalise == "fixed" else ""
    return mel.normalise + fixed
