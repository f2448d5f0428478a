"""Every metric by its name, and all metrics of a task at once.

A metric takes probabilities (N, K), labels (N, K) of 0 and 1 and the names of the K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from config import Task
from metrics import calibration, precision_recall, scenes, tagging
from metrics.inputs import check


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a task; its function documents where it is undefined (NaN)."""

    function: Callable[[np.ndarray, np.ndarray, Sequence[str]], float]
    task: Task
    higher_is_better: bool = True


def official(name: str) -> Callable[[np.ndarray, np.ndarray, Sequence[str]], float]:
    """One field of the official urban sound tagging score."""
    return lambda scores, targets, classes: getattr(
        precision_recall.score(scores, targets, classes), name
    )


def ignoring_names(
    function: Callable[[np.ndarray, np.ndarray], float],
) -> Callable[[np.ndarray, np.ndarray, Sequence[str]], float]:
    """A metric that does not depend on the names of the classes."""
    return lambda scores, targets, classes: function(scores, targets)


METRICS: dict[str, Metric] = {
    "micro_auprc": Metric(official("micro_auprc"), "multi_label"),
    "macro_auprc": Metric(official("macro_auprc"), "multi_label"),
    "micro_f1": Metric(official("micro_f1"), "multi_label"),
    "mean_average_precision": Metric(ignoring_names(tagging.mean_average_precision), "multi_label"),
    "roc_auc": Metric(ignoring_names(tagging.roc_auc), "multi_label"),
    "d_prime": Metric(ignoring_names(tagging.d_prime), "multi_label"),
    "tag_calibration_error": Metric(
        ignoring_names(calibration.tag_calibration_error), "multi_label", higher_is_better=False
    ),
    "accuracy": Metric(ignoring_names(scenes.accuracy), "single_label"),
    "macro_accuracy": Metric(ignoring_names(scenes.macro_accuracy), "single_label"),
    "log_loss": Metric(ignoring_names(scenes.log_loss), "single_label", higher_is_better=False),
    "expected_calibration_error": Metric(
        ignoring_names(calibration.expected_calibration_error),
        "single_label",
        higher_is_better=False,
    ),
}


def sign(metric: str) -> int:
    """1 where higher is better, else -1."""
    return 1 if METRICS[metric].higher_is_better else -1


UNBOUNDED = ("d_prime", "log_loss")  # the other metrics are at most 1

RANKINGS: dict[str, tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "mean_average_precision": ("average precision", tagging.class_average_precision),
    "roc_auc": ("ROC-AUC", tagging.class_roc_auc),
    "d_prime": ("ROC-AUC", tagging.class_roc_auc),
}
"""Metric -> the metric of one class that it averages: its name and function."""


def evaluate(
    scores: np.ndarray,
    targets: np.ndarray,
    classes: Sequence[str],
    task: Task,
    tie_order: str = "numpy",
) -> dict[str, float]:
    """All metrics of the task by their names in METRICS; shared intermediates are computed once.

    `tie_order` is passed on to the official metric, see `precision_recall.score`.

    Shapes: scores (N, K) probabilities, targets (N, K) of 0 and 1.
    Raises UserError for scores that are not probabilities (or NaN) and labels other than
    0 and 1.
    """
    scores, targets = check(scores, targets, task, classes)
    if task == "single_label":
        return {
            name: metric.function(scores, targets, classes)
            for name, metric in METRICS.items()
            if metric.task == task
        }
    official_score = precision_recall.score(scores, targets, classes, tie_order)
    roc_auc = tagging.roc_auc(scores, targets)
    return {
        "micro_auprc": official_score.micro_auprc,
        "macro_auprc": official_score.macro_auprc,
        "micro_f1": official_score.micro_f1,
        "mean_average_precision": tagging.mean_average_precision(scores, targets),
        "roc_auc": roc_auc,
        "d_prime": tagging.d_prime_of_auc(roc_auc),
        "tag_calibration_error": calibration.tag_calibration_error(scores, targets),
    }


def classwise(
    scores: np.ndarray, targets: np.ndarray, classes: Sequence[str], task: Task, metric: str = ""
) -> dict[str, float]:
    """The value of each class that `metric` averages; NaN where it is undefined.

    mean_average_precision averages the average precision, roc_auc and d_prime the ROC-AUC. For all
    other metrics it is the accuracy (single label; its mean is macro_accuracy) or the official
    AUPRC (multi label; its mean is macro_auprc). `name_of_classwise` returns its name.

    The keys are `classes`. For the fine tags of SONYC-UST and the official AUPRC they are the
    numbers of the categories, since that metric has one curve per category.
    """
    scores, targets = check(scores, targets, task, classes)
    if metric in RANKINGS:
        values = RANKINGS[metric][1](scores, targets)
    elif task == "multi_label":
        return precision_recall.score(scores, targets, classes).classwise
    else:
        values = scenes.class_accuracy(scores, targets)
    return dict(zip(classes, values.tolist(), strict=True))


def name_of_classwise(metric: str) -> str:
    """The name of the values of `classwise`, for titles and axes."""
    if metric in RANKINGS:
        return RANKINGS[metric][0]
    return {"multi_label": "AUPRC", "single_label": "accuracy"}[METRICS[metric].task]
