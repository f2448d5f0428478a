"""Every metric by its name, and all figures of a task at once.

A metric takes probabilities (N, K), labels (N, K) of 0 and 1 and the names of the K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from metrics import calibration, precision_recall, scenes, tagging
from metrics.inputs import Task, check


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a task; NaN where the labels leave it undefined, as its function says."""

    function: Callable[[np.ndarray, np.ndarray, Sequence[str]], float]
    task: Task
    higher_is_better: bool = True


def official(figure: str) -> Callable[[np.ndarray, np.ndarray, Sequence[str]], float]:
    return lambda scores, targets, classes: getattr(
        precision_recall.score(scores, targets, classes), figure
    )


def nameless(
    figure: Callable[[np.ndarray, np.ndarray], float],
) -> Callable[[np.ndarray, np.ndarray, Sequence[str]], float]:
    return lambda scores, targets, classes: figure(scores, targets)


METRICS: dict[str, Metric] = {
    "micro_auprc": Metric(official("micro_auprc"), "multi_label"),
    "macro_auprc": Metric(official("macro_auprc"), "multi_label"),
    "micro_f1": Metric(official("micro_f1"), "multi_label"),
    "mean_average_precision": Metric(nameless(tagging.mean_average_precision), "multi_label"),
    "roc_auc": Metric(nameless(tagging.roc_auc), "multi_label"),
    "d_prime": Metric(nameless(tagging.d_prime), "multi_label"),
    "tag_calibration_error": Metric(
        nameless(calibration.tag_calibration_error), "multi_label", higher_is_better=False
    ),
    "accuracy": Metric(nameless(scenes.accuracy), "single_label"),
    "macro_accuracy": Metric(nameless(scenes.macro_accuracy), "single_label"),
    "log_loss": Metric(nameless(scenes.log_loss), "single_label", higher_is_better=False),
    "expected_calibration_error": Metric(
        nameless(calibration.expected_calibration_error), "single_label", higher_is_better=False
    ),
}

RANKINGS: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "mean_average_precision": ("average precision", tagging.class_average_precision),
    "roc_auc": ("ROC-AUC", tagging.class_roc_auc),
    "d_prime": ("ROC-AUC", tagging.class_roc_auc),
}
"""Metric -> the figure of a class that it is made of."""


def evaluate(
    scores: np.ndarray,
    targets: np.ndarray,
    classes: Sequence[str],
    task: Task,
    tie_order: str = "numpy",
) -> dict[str, float]:
    """All figures of the task by their names in METRICS; what they share is computed once.

    Shapes: scores (N, K) probabilities, targets (N, K) of 0 and 1. `tie_order` is the official
    metric's.
    Raises UserError for scores that are no probabilities (NaN among them) and for labels other than
    0 and 1.
    """
    scores, targets = check(scores, targets, task, classes)
    if task == "single_label":
        return {
            name: metric.function(scores, targets, classes)
            for name, metric in METRICS.items()
            if metric.task == task
        }
    figures = precision_recall.score(scores, targets, classes, tie_order)
    roc_auc = tagging.roc_auc(scores, targets)
    return {
        "micro_auprc": figures.micro_auprc,
        "macro_auprc": figures.macro_auprc,
        "micro_f1": figures.micro_f1,
        "mean_average_precision": tagging.mean_average_precision(scores, targets),
        "roc_auc": roc_auc,
        "d_prime": tagging.d_prime_of_auc(roc_auc),
        "tag_calibration_error": calibration.tag_calibration_error(scores, targets),
    }


def classwise(
    scores: np.ndarray, targets: np.ndarray, classes: Sequence[str], task: Task, metric: str = ""
) -> dict[str, float]:
    """The figure of each class that `metric` is the mean of, NaN where it is not defined.

    For mean_average_precision that is the average precision, for roc_auc and d_prime the ROC-AUC;
    for all others the accuracy (single label, its mean is macro_accuracy) or the official AUPRC
    (multi label, macro_auprc), `name_of_classwise` says which. The names are `classes`, or, for the
    fine tags of SONYC-UST, the numbers of their categories, whose curves the official metric draws.
    """
    scores, targets = check(scores, targets, task, classes)
    if metric in RANKINGS:
        found = RANKINGS[metric][1](scores, targets)
    elif task == "multi_label":
        return precision_recall.score(scores, targets, classes).classwise
    else:
        found = scenes.class_accuracy(scores, targets)
    return dict(zip(classes, found.tolist(), strict=True))


def name_of_classwise(metric: str) -> str:
    if metric in RANKINGS:
        return RANKINGS[metric][0]
    return {"multi_label": "AUPRC", "single_label": "accuracy"}[METRICS[metric].task]
