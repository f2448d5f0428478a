"""Checks of a configuration against the tables of models, losses and data sets.

Nothing here reads the disk or asks for a device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from config import (
    BACKBONE,
    Augment,
    Config,
    ConfigError,
    RoleSettings,
    choose,
    constructor_options,
    nearest,
)
from config.pretrained import PRETRAINED
from data.datasets import build_dataset
from data.tables.clips import ClipTable, Dataset
from data.tables.splits import HELD_OUT, Split
from losses import LOSSES
from losses.mix import RANDOM, VARIANTS, names_of, teachers_of, uses_teacher
from metrics import METRICS
from metrics.inputs import decisions
from models import find_model
from models.class_names import class_names
from training.loggers.chosen import check_names
from training.role import TEACHER
from training.steps import build_losses, loss_options
from training.teacher_cache import required_outputs


def check_config(config: Config, *roles: str) -> Dataset:
    """The data set of a configuration in which nothing contradicts the tables.

    Raises ConfigError for unknown names, options and coefficients, for losses that do not fit the
    task, and for settings of [distillation] and [augment] that contradict each other.
    """
    for role in ("teacher", "student"):
        model_options(config, role)
    for name in config.coefficients:
        choose(f"[coefficients] {name}", LOSSES, name)
    for name in config.losses:
        loss_options(config, name)
    check_names(config.run.logger)
    dataset = build_dataset(config.data)
    config = with_variants(config, dataset.task)
    check_augmented_views(config, dataset)
    check_teacher_input(config, dataset)
    check_metric(dataset)
    check_label_enhancement(config, dataset)
    check_losses(config, dataset, *roles)
    check_heads(config, dataset)
    check_class_sets(config)
    check_specialists(config)
    return dataset


def check_metric(dataset: Dataset) -> None:
    """Raises ConfigError for an unknown metric, and for one of the other task."""
    fitting = {name for name, metric in METRICS.items() if metric.task == dataset.task}
    if dataset.metric in METRICS and dataset.metric not in fitting:
        found = f"found {dataset.metric!r}, but the data set is {dataset.task.replace('_', '-')}"
        raise ConfigError("[data] metric", f"{found}{nearest(dataset.metric, fitting)}")
    choose("[data] metric", dict.fromkeys(fitting), dataset.metric)


def check_label_enhancement(config: Config, dataset: Dataset) -> None:
    if (found := config.data.enhance_labels) and dataset.task == "single_label":
        message = f"found {found!r}, but the data set is single-label: a clip has one class"
        raise ConfigError("[data] enhance_labels", message)


def check_defined(metric: str, table: ClipTable, split: Split) -> None:
    """Raises ConfigError for a metric that is undefined on the validation clips."""
    if not is_defined(metric, table, split.validation):
        found = f"{metric} is undefined on the {len(split.validation)} validation clips"
        message = f"{found} ({split.validation_name}); {advice_of(split)}"
        raise ConfigError("[data] metric", message)


def check_schedule(config: Config, role: str, split: Split) -> None:
    """Raises ConfigError where SCHEDULE = plateau has no validation scores to follow."""
    settings: RoleSettings = getattr(config, role)
    epochs = settings.epochs or (role == "student" and config.quantisation.epochs)
    if settings.schedule == "plateau" and epochs and not len(split.validation):
        found = "found 'plateau', which requires validation scores: set [data] HOLD_OUT above 0"
        raise ConfigError(f"[{role}] schedule", f"{found}, or another SCHEDULE")


def is_defined(metric: str, table: ClipTable, rows: np.ndarray) -> bool:
    """Whether these clips have the labels that a metric requires."""
    if not len(rows) or not table.labelled[rows].all():
        return True
    truth = decisions(table.targets[rows], table.task)
    scores = np.full(truth.shape, 1 / truth.shape[1])
    return not math.isnan(METRICS[metric].function(scores, truth, table.classes))


def advice_of(split: Split) -> str:
    """How validation clips get the labels that a metric lacks."""
    if split.validation_name.startswith(HELD_OUT):
        return "set [data] HOLD_OUT higher, or 0 for the last epoch"
    if split.validation_name == "the test split":
        return "choose another METRIC, or other clips"
    return (
        "choose another METRIC, or other clips for that split; without one, training clips are "
        "held out"
    )


def model_options(config: Config, role: str) -> dict[str, Any]:
    """The options of the model of "teacher" or "student"."""
    settings: RoleSettings = getattr(config, role)
    constructor = find_model(f"[{role}] model", settings.model)
    return constructor_options(f"[{role}]", settings, constructor)


def is_augmented(config: Config, dataset: Dataset, role: str) -> bool:
    return config.augment_of(role) != Augment() or dataset.recording_seconds > 0


def outputs_repeat(config: Config, dataset: Dataset) -> bool:
    """Whether a teacher's input of a clip repeats from epoch to epoch, so that its outputs can be
    cached.
    """
    distillation = config.distillation
    clean = distillation.teacher_input != "augmented" or not is_augmented(
        config, dataset, "student"
    )
    return clean or distillation.augmented_views > 0


def check_augmented_views(config: Config, dataset: Dataset) -> None:
    views = config.distillation.augmented_views
    if views and not is_augmented(config, dataset, "student"):
        raise ConfigError(
            "[distillation] augmented_views",
            f"found {views}, but [augment] is off: all views would be equal",
        )
    if views and config.student_augment.mixup_start_epoch:
        raise ConfigError(
            "[augment] mixup_start_epoch",
            f"found {config.student_augment.mixup_start_epoch}, but [distillation] "
            "AUGMENTED_VIEWS are sampled once for all epochs",
        )


def check_teacher_input(config: Config, dataset: Dataset) -> None:
    distillation = config.distillation
    if distillation.teacher == "cached" and not outputs_repeat(config, dataset):
        raise ConfigError(
            "[distillation] teacher",
            "found 'cached', but [augment] or [data] REASSEMBLE changes each clip in every "
            "epoch; set AUGMENTED_VIEWS to replay a few, or TEACHER to auto or online",
        )
    if dataset.recording_seconds and distillation.teacher_input != "augmented":
        raise ConfigError(
            "[distillation] teacher_input",
            f"found {distillation.teacher_input!r}, but [data] REASSEMBLE crops the student's "
            "input anywhere in the recording; set it to 'augmented', or REASSEMBLE = no",
        )


def check_losses(config: Config, dataset: Dataset, *roles: str) -> None:
    task = dataset.task
    for role in roles:
        if (epochs := getattr(config, role).align_epochs) and task == "multi_label":
            found = f"found {epochs}, but the data set is multi-label: a clip has no single class"
            raise ConfigError(f"[{role}] align_epochs", found)
    build_losses(teacher_losses(config, task), task, config.teacher, config)
    for variant in config.distillation.variants:
        build_losses(variant, task, config.student, config)
        teacher_weights(config, dataset, variant)


def check_heads(config: Config, dataset: Dataset) -> None:
    """Raises ConfigError for losses that FREEZE = backbone leaves without a gradient, and for what
    HEAD_FIT = logistic_regression cannot be fitted to.
    """
    mixes = {
        "teacher": (teacher_losses(config, dataset.task),),
        "student": config.distillation.variants,
    }
    for role, variants in mixes.items():
        settings: RoleSettings = getattr(config, role)
        if settings.head_fit == "logistic_regression":
            check_logistic_regression(config, dataset, role, variants)
        elif settings.freezes_backbone and settings.epochs:
            for variant in variants:
                check_gradients(role, variant)


def check_gradients(role: str, variant: str) -> None:
    """Raises ConfigError for a loss that does not depend on the classifier."""
    for name in names_of(variant):
        if "logits" not in (outputs := LOSSES[name].of_student()):
            compared = " and the ".join(outputs)
            found = f"found {BACKBONE}, but {name} of {variant} compares the {compared}, which "
            raise ConfigError(f"[{role}] freeze", f"{found}no trained parameter changes")


def check_logistic_regression(
    config: Config, dataset: Dataset, role: str, variants: Sequence[str]
) -> None:
    where, kind = f"[{role}] head_fit", getattr(config, role).head_fit
    for variant in variants:
        if variant not in ("ce", "bce"):
            found = f"found {kind!r}, which is fitted to labels alone, not {variant}"
            raise ConfigError(where, found)
    if is_augmented(config, dataset, role):
        found = f"found {kind!r}, but [augment] or [data] REASSEMBLE changes each clip"
        raise ConfigError(where, f"{found}: set it to gradient")
    if role == "teacher" and (pairs := config.specialists.pairs):
        found = f"found {pairs}, but HEAD_FIT of [teacher] is {kind}"
        raise ConfigError("[specialists] pairs", found)


def check_class_sets(config: Config) -> None:
    """Raises ConfigError where [classes] does not fit [teacher] and [specialists], and for names
    that a published model has not.
    """
    sets, teacher = config.classes, config.teacher
    if not sets.options:
        return
    if not teacher.is_used_as_it_is:
        found = "is for a teacher that is used as it is: EPOCHS = 0 and LOAD_CLASSIFIER = yes in"
        raise ConfigError("[classes]", f"{found} [teacher], without FREEZE, HEAD_FIT, ALIGN_EPOCHS")
    if pairs := config.specialists.pairs:
        found = f"found {pairs}, but a teacher of other classes ([classes]) is not trained further"
        raise ConfigError("[specialists] pairs", found)
    if teacher.init in PRETRAINED:
        for name in sets.options:
            sets.names(name, class_names(teacher.init))


def check_specialists(config: Config) -> None:
    """Raises ConfigError where specialists continue at the last learning rate of a teacher that has
    none.
    """
    specialists = config.specialists
    if specialists.pairs and specialists.learning_rate is None and not config.teacher.epochs:
        found = "found none, but a teacher with EPOCHS = 0 has no last learning rate: set it"
        raise ConfigError("[specialists] learning_rate", found)


def check_labels(config: Config, table: ClipTable, role: str) -> None:
    """Raises ConfigError where the trainings of "teacher" or "student" require labels that training
    clips lack.
    """
    split, fold = table.columns["split"][:], table.columns["fold"][:]
    labelled = table.labelled[(split == "train") | (fold > 0)]
    if labelled.all() and config.data.label_share == 1:
        return
    some, without = labelled.any(), "but no training clip has a label"
    settings: RoleSettings = getattr(config, role)
    if settings.head_fit != "gradient" and not some:
        raise ConfigError(f"[{role}] head_fit", f"found {settings.head_fit!r}, {without}")
    if settings.align_epochs and not some:
        found = f"found {settings.align_epochs}, {without}"
        raise ConfigError(f"[{role}] align_epochs", found)
    if role == "teacher":
        if not some and (settings.epochs or not settings.init):
            found = f"found {settings.epochs}, {without}: set it to 0 and INIT to a trained teacher"
            raise ConfigError("[teacher] epochs", found)
        if not some and config.specialists.pairs:
            found = f"found {config.specialists.pairs}, {without}"
            raise ConfigError("[specialists] pairs", found)
        return
    distillation = config.distillation
    for variant in distillation.variants:
        names = names_of(variant)
        if not some and (name := next((n for n in names if "labels" in LOSSES[n].takes), None)):
            found = f"found {variant!r}, {without} for {name}; use kd, sp or kd+sp"
            raise ConfigError(VARIANTS, found)
        if not uses_teacher(variant):
            continue
        if settings.sampling == "balanced":
            found = f"found 'balanced', but {variant} also uses clips without labels"
            raise ConfigError("[student] sampling", found)
        if distillation.teacher_input == "concatenated":
            found = f"found 'concatenated', but {variant} also uses clips without labels"
            raise ConfigError("[distillation] teacher_input", found)


def with_variants(config: Config, task: str) -> Config:
    """VARIANTS, where it is empty: the loss of the labels, with kd, and with kd and sp."""
    if config.distillation.variants:
        return config
    label = label_loss(task)
    variants = (label, f"{label}+kd", f"{label}+kd+sp")
    return replace(config, distillation=replace(config.distillation, variants=variants))


def label_loss(task: str) -> str:
    return "bce" if task == "multi_label" else "ce"


def teacher_losses(config: Config, task: str) -> str:
    """Those of [teacher] LOSSES, or the one of the labels of this task."""
    return config.teacher.losses or label_loss(task)


def teacher_weights(config: Config, dataset: Dataset, variant: str) -> dict[str, float]:
    """The teachers that a variant is distilled from -> the weight of each: names of roles, or the
    name of one ensemble. Raises ConfigError.
    """
    roles, weights = config.teachers(), config.distillation.teacher_weights
    if weights and len(weights) != len(roles):
        found = f"found {len(weights)}, expected one for each of {', '.join(roles)}"
        raise ConfigError("[distillation] teacher_weights", found)
    if not uses_teacher(variant):
        return {}
    ensembles = config.ensemble_members()
    chosen = teachers_of(variant, ensembles)
    if chosen in ensembles:
        check_ensemble_teacher(config, dataset, variant)
        return {chosen: 1.0}
    weighted = {
        role: weight
        for role, weight in zip(roles, weights or [1.0] * len(roles), strict=True)
        if chosen in ("all", RANDOM) or (role == str(TEACHER)) == (chosen == str(TEACHER))
    }
    if not weighted or (chosen == RANDOM and len(weighted) == 1):
        raise ConfigError(VARIANTS, f"found {variant!r}, but [specialists] PAIRS is 0")
    return weighted


def check_ensemble_teacher(config: Config, dataset: Dataset, variant: str) -> None:
    """An ensemble gives the logits of clean clips only. Raises ConfigError for other settings."""
    distillation = config.distillation
    if more := sorted(required_outputs(variant) - {"logits"}):
        found = f"found {variant!r}, but an ensemble has only logits as its output, not {more[0]}"
        raise ConfigError(VARIANTS, found)
    if distillation.teacher == "online":
        found = f"found 'online', but the outputs of the ensemble of {variant} are cached"
        raise ConfigError("[distillation] teacher", found)
    teacher_input = distillation.teacher_input
    if teacher_input == "concatenated" or (
        teacher_input == "augmented" and is_augmented(config, dataset, "student")
    ):
        found = f"found {teacher_input!r}, but the ensemble of {variant} takes clean clips"
        raise ConfigError("[distillation] teacher_input", f"{found}; set it to 'clean'")
