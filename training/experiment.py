"""An experiment: the clips of a configuration, what each role hears of them, and its models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from config import Augment, Config, ConfigError, Role, UserError, choose, constructor_options
from data.augment import Augmentation
from data.batches import Batches, View
from data.clips import ClipTable
from data.datasets import DATASETS
from data.mel_cache import MelCache, cache_folder
from data.splits import Parts, folds_of, parts
from losses import LOSSES
from models import MODELS
from models.freeze import freeze
from models.published import load_published, read_weights
from training.device import choose_device
from training.distributed import rank, world
from training.run_folder import training_path
from training.steps import OnlineTeacher, Teacher, build_losses
from training.teacher_cache import cached_teacher


class Experiment:
    """The clips and views of a configuration, checked against the tables of what there is.

    Raises ConfigError for unknown names, options and coefficients before any data is read.
    """

    def __init__(self, config: Config, *roles: str) -> None:
        self.config = config
        self.device = choose_device(config.run.device)
        for role in ("teacher", "student"):
            model_options(config, role)
        for name in config.coefficients:
            choose(f"[coefficients] {name}", LOSSES, name)
        kind = choose("[data] dataset", DATASETS, config.data.dataset)
        dataset = kind(**constructor_options("[data]", config.data, kind))
        self.augmented = config.augment != Augment()
        if config.distillation.teacher == "cached" and self.augmented:
            raise ConfigError(
                "[distillation] teacher",
                "found 'cached', but [augment] disturbs each clip anew; want auto or online",
            )
        caches = {role: MelCache.open(cache_folder(config, role)) for role in roles}
        self.table: ClipTable = caches[roles[0]].table
        for variant in config.distillation.variants:
            build_losses(variant, self.table.task, config.student, config)
        self.views = {
            role: View(cache, self.table.ids, self.device, config.run.resident_gigabytes)
            for role, cache in caches.items()
        }
        self.targets = torch.as_tensor(self.table.targets, device=self.device)
        self.metric = dataset.metric
        self.folds = folds_of(self.table, config.data.folds)
        self.clip_seconds = config.data.clip_seconds or dataset.clip_seconds
        self.fold = -1

    def enter(self, fold: int) -> None:
        """Take one fold's parts; scale the views by its training clips where NORMALISE says so."""
        if fold == self.fold:
            return
        self.fold = fold
        data = self.config.data
        self.parts: Parts = parts(self.table, fold, data.protocol, data.hold_out)
        for role, view in self.views.items():
            view.normalise(self.config.mel_of(role).normalise, self.parts.train)
        self.loaded_teachers: dict[int, list[Teacher]] = {}

    def batches(self, role: str, seed: int, heard: tuple[str, ...]) -> Batches:
        """The training clips as `heard` roles hear them, in batches of `role`'s size."""
        batch_size = getattr(self.config, role).batch_size
        if batch_size < world():
            found = f"found {batch_size}, want a clip for each of the {world()} processes"
            raise ConfigError(f"[{role}] batch_size", found)
        max_hz = max(self.config.mel_of(name).sample_rate / 2 for name in heard)
        augmentation = Augmentation(self.config.augment, self.clip_seconds, max_hz)
        return Batches(
            {name: self.views[name] for name in heard},
            self.targets,
            self.parts.train,
            batch_size,
            seed,
            augmentation if self.augmented else None,
            rank(),
            world(),
        )

    def build_model(self, role: str) -> nn.Module:
        settings: Role = getattr(self.config, role)
        model = MODELS[settings.model](
            num_classes=len(self.table.classes),
            input_shape=self.views[role].shape,
            **model_options(self.config, role),
        )
        return model.to(self.device, memory_format=torch.channels_last)

    def new_model(self, role: str, seed: int) -> nn.Module:
        """The role's model: seeded random weights or those of INIT, with FREEZE applied."""
        settings: Role = getattr(self.config, role)
        torch.manual_seed(seed)
        model = self.build_model(role)
        if settings.init:
            load_published(model, read_weights(Path(settings.init)))
        freeze(model, settings.freeze)
        return model

    def teacher_weights(self, seed: int) -> Path:
        folder = training_path(self.config, "teacher", "", seed, self.fold)
        path = folder / "weights.safetensors"
        if not path.exists():
            raise UserError(f"{path} is not there: run train_teacher.py first")
        return path

    def teachers(self, seed: int) -> list[Teacher]:
        """The finished teacher of this seed and fold, as [distillation] TEACHER says."""
        if seed not in self.loaded_teachers:
            model = self.build_model("teacher")
            load_published(model, read_weights(self.teacher_weights(seed)))
            model.eval()
            if self.augmented or self.config.distillation.teacher == "online":
                teacher: Teacher = OnlineTeacher(model)
            else:
                gigabytes = self.config.run.resident_gigabytes
                view = self.views["teacher"]
                teacher = cached_teacher(model, view, self.parts.train, gigabytes)
            self.loaded_teachers = {seed: [teacher]}
        return self.loaded_teachers[seed]


def model_options(config: Config, role: str) -> dict[str, Any]:
    """The role's model options, checked. Raises ConfigError."""
    settings: Role = getattr(config, role)
    constructor = choose(f"[{role}] model", MODELS, settings.model)
    return constructor_options(f"[{role}]", settings, constructor)
