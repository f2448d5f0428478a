"""Forward passes over many clips: outputs, probabilities, and the validation score."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from config import UserError
from data.loading.batches import ClipFeatures, share
from metrics import METRICS
from metrics.inputs import decisions
from models.output import probabilities_of
from training.builders import autocast
from training.checks import advice_of
from training.device import forward_precision
from training.distributed import gather, rank, world
from training.fold import FoldData
from training.role import TEACHER, Role


@torch.no_grad()
def forward_all(
    model: nn.Module,
    features: ClipFeatures,
    rows: np.ndarray,
    name: Literal["logits", "embedding"],
    precision: Literal["float32", "bfloat16"] = "float32",
    batch_size: int = 64,
) -> Tensor:
    """One output of these clips, in evaluation mode: float32 (len(rows), K or D) on the device.

    Leaves the model in evaluation mode.
    """
    model.eval()
    found = []
    for chunk in torch.as_tensor(rows).split(batch_size):
        with forward_precision(features.device, precision):
            found.append(getattr(model(features[chunk]), name).float())
    return torch.cat(found)


def gathered_outputs(
    fold: FoldData,
    role: Role,
    model: nn.Module,
    rows: np.ndarray,
    name: Literal["logits", "embedding"],
) -> Tensor:
    """As forward_all, at every process; each computes its share of the clips."""
    features, precision = fold.features[role.features], autocast(fold.config, role)
    own = rows[share(len(rows), rank(), world())]
    return gather(forward_all(model, features, own, name, precision), len(rows))


def predict(fold: FoldData, role: Role, model: nn.Module, rows: np.ndarray) -> np.ndarray:
    """Probabilities of these clips: (len(rows), K) float64. Raises UserError for another K."""
    logits = gathered_outputs(fold, role, model, rows, "logits")
    if (found := logits.shape[1]) != (classes := len(fold.table.classes)):
        raise UserError(
            f"[{role.features}] model: found {found} logits, expected one for each of {classes} "
            "classes; of a teacher of other classes, Adapted requires their names, `classes`"
        )
    return probabilities_of(logits.cpu().double(), fold.table.task).numpy()


def validator(
    fold: FoldData, role: Role, teacher: Callable[[], nn.Module]
) -> Callable[[nn.Module], float] | None:
    """The score that selects the epoch, higher is better; None where there are no validation clips.

    Held-out training clips may have soft targets (the mean of volunteers): the truth is the tags
    from 0.5 up, or the one class with the largest.
    Of clips without labels it is the agreement with the decisions of `teacher`; the teacher itself
    has no score there.
    """
    name, rows = fold.experiment.metric, fold.split.validation
    agreement = not len(fold.labelled(rows))
    if not len(rows) or (agreement and role == TEACHER):
        return None
    metric, classes = METRICS[name], fold.table.classes
    if agreement:
        truth = decisions(predict(fold, TEACHER, teacher(), rows), fold.table.task)
    else:
        truth = decisions(fold.table.targets[rows], fold.table.task)

    def score(model: nn.Module) -> float:
        value = metric.function(predict(fold, role, model, rows), truth, classes)
        if math.isnan(value):
            found = f"{name} is undefined on the {len(rows)} validation clips"
            message = f"{found} ({fold.split.validation_name}); {advice_of(fold.split)}"
            raise UserError(message)
        return value if metric.higher_is_better else -value

    return score
