"""Embeddings of a frozen backbone: computed once for all clips, they replace a role's features.

runs/<NAME>/embeddings/<fingerprint>/    shared by all trainings whose backbone and inputs are equal
    made_from.json       all that the embeddings depend on, see `training.teacher_cache`
    clips.txt            the ids of all clips, of an augmented view those of its clips
    embedding.float32.*  (N, D)
    map_gram.float32.*   (N, N), where such a teacher is distilled with sp
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from config import UserError
from data.augment import Augmentation, AugmentParams
from data.loading.batches import ClipFeatures
from data.loading.replay import Replay
from models.output import CLASSIFIER, Output
from models.own import code_fingerprint
from training.checks import model_options
from training.fold import FoldData
from training.role import Role
from training.run_folder import RUNS
from training.teacher_cache import CachedTeacher, TeacherCache, outputs_folder

EMBEDDING = {"embedding"}


class Head(nn.Module):
    """The classifier of a model, shared with it, as a model of embeddings. (B, D) -> Output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.classifier = model.get_submodule("classifier")

    def forward(self, embedding: Tensor) -> Output:
        return Output(self.classifier(embedding), embedding, ())


class ClipEmbeddings(ClipFeatures):
    """The embeddings of every clip, looked up as its features are: (B,) -> (B, D) float32."""

    def __init__(
        self,
        features: ClipFeatures,
        look_up: Callable[[Tensor], Tensor],
        size: int,
        views: Sequence[Callable[[Tensor], Tensor]] = (),
    ) -> None:
        self.cache, self.settings, self.device = features.cache, features.settings, features.device
        self.look_up, self.shape, self.recordings = look_up, (size,), None
        self.views = views
        self.set_normalisation(0.0, 1.0)

    @property
    def reads_disk(self) -> bool:
        return False  # at most what is mapped, and small

    def stored(self, rows: Tensor) -> Tensor:
        return self.look_up(rows.cpu())

    def fetch(self, rows: Tensor, view: int | None = None) -> Tensor:
        return self.stored(rows) if view is None else self.views[view](rows.cpu())

    def render(
        self, fetched: Tensor, augmentation: Augmentation | None, params: AugmentParams | None
    ) -> Tensor:
        return self.load(fetched if params is None else fetched[: len(params.style_weight)])


def on_embeddings(
    fold: FoldData, role: Role, model: nn.Module, replay: Replay | None
) -> tuple[Head, FoldData]:
    """The classifier of a model with a frozen backbone, and the fold with the embeddings of all
    clips, and of the views of `replay`, in place of the features of `role`: training it there
    trains the model.

    Raises UserError where they take more than TEACHER_CACHE_GB.
    """
    cache = open_embeddings(fold, role, model)
    (look_up,) = embeddings_of(cache)
    views = embeddings_of(open_embeddings(fold, role, model, replay)) if replay else []
    (size,) = cache.shapes["embedding"]
    embeddings = ClipEmbeddings(fold.features[role.features], look_up, size, views)
    return Head(model), dataclasses.replace(
        fold, features={**fold.features, role.features: embeddings}
    )


def embeddings_of(cache: TeacherCache) -> list[Callable[[Tensor], Tensor]]:
    """Of each view, by positions in the clip table: (B,) -> (B, D)."""
    if (found := cache.filled(EMBEDDING, EMBEDDING)) is None:
        raise UserError(
            f"the embeddings of the {cache.role} take more than [run] TEACHER_CACHE_GB; raise it"
        )
    return [found.look_up(view, "embedding") for view in range(len(found.views))]


def teacher_on_embeddings(
    fold: FoldData, role: Role, model: nn.Module, outputs: set[str], every: Iterable[str]
) -> CachedTeacher | None:
    """A finished teacher with a frozen backbone: the logits are its classifier's for the embeddings
    of clean clips; all teachers with this backbone share its other `outputs`.

    `every`: the outputs to store. None where they do not fit as float32.
    """
    cache = open_embeddings(fold, role, model)
    required = outputs - {"logits"} | EMBEDDING
    stored = [cache.stored_as(name) for name in required]
    if any(found is None or found[1] != "float32" for found in stored):
        return None
    if (found := cache.filled({*every} - {"logits"} | EMBEDDING, required)) is None:
        return None
    (view,) = found.views
    head = model.get_submodule("classifier").requires_grad_(False)

    def logits(positions: Tensor) -> Tensor:
        return head(view["embedding"](positions)).float()

    shared = {name: view[name] for name in outputs - {"logits"}}
    return CachedTeacher(cache.rows.numpy(), [{**shared, "logits": logits}])


def open_embeddings(
    fold: FoldData, role: Role, model: nn.Module, replay: Replay | None = None
) -> TeacherCache:
    """Where the embeddings of all clips, or of the views of `replay`, are or will be stored."""
    config, features = fold.config, fold.features[role.features]
    rows = replay.rows.numpy() if replay else np.arange(len(fold.table.ids))
    ids = fold.table.ids[rows]
    made_from = {
        "weights": fingerprint(model),
        "model": getattr(config, role.features).model,
        "code": code_fingerprint(getattr(config, role.features).model),
        "options": model_options(config, role.features),
        "mean": features.mean.tolist(),
        "std": features.std.tolist(),
        **features.cache.fingerprints(),
    }
    drawn = [{"drawn": replay.fingerprint(k)} for k in range(len(replay))] if replay else [{}]
    top = RUNS / config.run.of_teachers / "embeddings"
    folders = [outputs_folder(top, {**made_from, **view}, ids) for view in drawn]
    limits = fold.experiment.feature_memory_gb(), config.run.teacher_cache_gb
    return TeacherCache(model.eval(), features, rows, replay, folders, *limits, role=str(role))


def fingerprint(model: nn.Module) -> str:
    """Of all weights before the classifier."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not name.startswith(CLASSIFIER):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
