"""An experiment: the clips, what each role hears of them, and one training of one role."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from config import (
    Augment,
    Config,
    ConfigError,
    Role,
    UserError,
    choose,
    constructor_options,
    flat_items,
    to_text,
)
from data.augment import Augmentation
from data.batches import Batches, View
from data.clips import ClipTable
from data.datasets import DATASETS
from data.mel_cache import MelCache, cache_folder
from data.splits import Parts, folds_of, parts
from losses import LOSSES
from metrics import METRICS, classwise, evaluate
from models import MODELS
from models.cost import cost
from models.freeze import freeze
from models.published import load_published, read_weights
from training.device import choose_device
from training.loop import fit
from training.predict import probabilities
from training.run_folder import TrainingFolder, file_sha256, training_path
from training.steps import OnlineTeacher, Step, Teacher, build_losses, names_of
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
        self.metric = dataset.metric
        caches = {role: MelCache.open(cache_folder(config, role)) for role in roles}
        self.table: ClipTable = caches[roles[0]].table
        for variant in config.distillation.variants:
            build_losses(variant, self.table.task, config.student, config)
        self.views = {
            role: View(cache, self.table.ids, self.device, config.run.resident_gigabytes)
            for role, cache in caches.items()
        }
        self.targets = torch.as_tensor(self.table.targets, device=self.device)
        self.folds = folds_of(self.table, config.data.folds)
        self.clip_seconds = config.data.clip_seconds or dataset.clip_seconds
        self.loaded_teachers: tuple[tuple[int, int] | None, list[Teacher]] = (None, [])
        if config.distillation.teacher == "cached" and config.augment != Augment():
            raise ConfigError(
                "[distillation] teacher",
                "found 'cached', but [augment] disturbs each clip anew; want auto or online",
            )

    def parts(self, fold: int) -> Parts:
        return parts(self.table, fold, self.config.data.protocol, self.config.data.hold_out)

    def normalise(self, fold: int) -> None:
        """Scale each view by this fold's training clips, where [mel] NORMALISE says so."""
        for role, view in self.views.items():
            settings = self.config.mel_of(role)
            view.normalise(settings.normalise, self.parts(fold).train)

    def new_model(self, role: str, seed: int) -> nn.Module:
        """The role's model: seeded random weights or those of INIT, with FREEZE applied."""
        settings: Role = getattr(self.config, role)
        torch.manual_seed(seed)
        model = MODELS[settings.model](
            num_classes=len(self.table.classes),
            input_shape=self.views[role].shape,
            **model_options(self.config, role),
        )
        if settings.init:
            load_published(model, read_weights(Path(settings.init)))
        freeze(model, settings.freeze)
        return model.to(self.device, memory_format=torch.channels_last)

    def teachers(self, seed: int, fold: int) -> list[Teacher]:
        """The finished teacher of this seed and fold, as [distillation] TEACHER says."""
        if self.loaded_teachers[0] != (seed, fold):
            model = self.new_model("teacher", seed)
            load_published(model, read_weights(self.teacher_weights(seed, fold)))
            model.eval()
            view, rows = self.views["teacher"], self.parts(fold).train
            if self.config.distillation.teacher == "online" or self.config.augment != Augment():
                teacher = OnlineTeacher(model)
            else:
                teacher = cached_teacher(model, view, rows, self.config.run.resident_gigabytes)
            self.loaded_teachers = (seed, fold), [teacher]
        return self.loaded_teachers[1]

    def teacher_weights(self, seed: int, fold: int) -> Path:
        path = training_path(self.config, "teacher", "", seed, fold) / "weights.safetensors"
        if not path.exists():
            raise UserError(f"{path} is not there: run train_teacher.py first")
        return path

    def train(self, role: str, variant: str, seed: int, fold: int, overwrite: bool = False) -> None:
        """One training, from its settings to a finished folder; nothing where it is finished."""
        config, settings = self.config, getattr(self.config, role)
        taught = any(LOSSES[name].against == "teacher" for name in names_of(variant))
        folder = TrainingFolder(
            training_path(config, role, variant, seed, fold),
            self.settings(role, variant, seed, fold, taught),
        )
        if overwrite:
            folder.remove()
        if folder.finished():
            return
        started = time.perf_counter()
        split = self.parts(fold)
        model = self.new_model(role, seed)
        losses = build_losses(variant, self.table.task, settings, config)
        heard = ["teacher", "student"] if taught else [role]
        max_hz = max(config.mel_of(r).sample_rate / 2 for r in heard)
        augmentation = Augmentation(config.augment, self.clip_seconds, max_hz)
        batches = Batches(
            {r: self.views[r] for r in heard},
            self.targets,
            split.train,
            settings.batch_size,
            seed,
            None if augmentation.does_nothing else augmentation,
        )
        history = fit(
            model,
            Step(
                model,
                role,
                losses,
                config.coefficients,
                self.teachers(seed, fold) if taught else (),
            ),
            batches,
            settings,
            folder,
            seed=seed,
            device=self.device,
            precision=config.run.precision,
            validate=self.validator(role, split) if len(split.select) else None,
            title=" ".join([role, variant, f"seed {seed}", *([f"fold {fold}"] if fold else [])]),
        )
        predicted = self.predict(model, role, split.report)
        truth = self.table.targets[split.report]
        kept = int(history["score"].argmax()) + 1 if len(split.select) else settings.epochs
        figures = evaluate(predicted, truth, self.table.classes, self.table.task)
        by_class = classwise(predicted, truth, self.table.classes, self.table.task)
        folder.finish(
            model.state_dict(),
            self.description(role),
            history,
            predictions_table(self.table.ids[split.report], predicted, self.table.classes),
            {
                "role": role,
                "variant": variant,
                "model": settings.model,
                "dataset": config.data.dataset,
                "seed": seed,
                "fold": fold,
                "split": split.report_name,
                "epoch_chosen_on": split.select_name,
                "kept_epoch": kept,
                "headline": self.metric,
                "figures": figures | {f"{self.metric} {name}": v for name, v in by_class.items()},
                **cost(model, self.views[role].shape)._asdict(),
                "epochs": settings.epochs,
                "seconds": round(time.perf_counter() - started, 1),
            },
        )

    def validator(self, role: str, split: Parts) -> Callable[[nn.Module], float]:
        """The score that chooses the epoch, higher is better."""
        metric = METRICS[self.metric]
        truth = self.table.targets[split.select]

        def score(model: nn.Module) -> float:
            predicted = self.predict(model, role, split.select)
            value = metric.function(predicted, truth, self.table.classes)
            if math.isnan(value):
                raise UserError(
                    f"{self.metric} is undefined on the {len(truth)} clips that choose the epoch "
                    f"({split.select_name}); set [data] HOLD_OUT higher, or 0 to keep the last"
                )
            return value if metric.higher_is_better else -value

        return score

    def predict(self, model: nn.Module, role: str, rows: np.ndarray) -> np.ndarray:
        view, precision = self.views[role], self.config.run.precision
        return probabilities(model, view, rows, self.table.task, precision)

    def settings(
        self, role: str, variant: str, seed: int, fold: int, taught: bool
    ) -> dict[str, str]:
        """All that one training depends on, flat, so that other settings never mix with it."""
        config = self.config
        settings = {"data.clips": file_sha256(self.views[role].cache.folder / "clips.csv")}
        sections = {"data": config.data, role: getattr(config, role), "augment": config.augment}
        sections |= {f"mel.{role}": config.mel_of(role)}
        if taught:
            sections |= {"distillation": config.distillation, "mel.teacher": config.teacher_mel}
            settings["teacher.weights"] = file_sha256(self.teacher_weights(seed, fold))
        for name, section in sections.items():
            settings |= {f"{name}.{key}": to_text(value) for key, value in flat_items(section)}
        for place in ("data.root", "data.folds", "data.on_bad_audio", "distillation.variants"):
            settings.pop(place, None)
        for loss in names_of(variant):
            settings[f"coefficients.{loss}"] = to_text(config.coefficients.get(loss, 1.0))
        return settings | {
            "variant": variant,
            "seed": str(seed),
            "fold": str(fold),
            "precision": config.run.precision,
        }

    def description(self, role: str) -> dict[str, Any]:
        """What builds the model again and hears as it does, for the header of its weights."""
        settings, view = getattr(self.config, role), self.views[role]
        return {
            "model": settings.model,
            "options": model_options(self.config, role),
            "input_shape": view.shape,
            "task": self.table.task,
            "classes": self.table.classes,
            "clip_seconds": self.clip_seconds,
            "front_end": dataclasses.asdict(self.config.mel_of(role)),
            "mean": view.mean.tolist(),
            "deviation": view.deviation.tolist(),
        }


def model_options(config: Config, role: str) -> dict[str, Any]:
    """The role's model options, checked. Raises ConfigError."""
    settings: Role = getattr(config, role)
    constructor = choose(f"[{role}] model", MODELS, settings.model)
    return constructor_options(f"[{role}]", settings, constructor)


def predictions_table(
    ids: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """The official submission format of DCASE urban sound tagging: audio_filename and the tags."""
    table = pd.DataFrame(probabilities, columns=list(classes))
    table.insert(0, "audio_filename", ids)
    return table
