"""The learning rate as a function of the step and the scores so far, without state."""

from __future__ import annotations

import math
from collections.abc import Sequence

from config import RoleSettings


def learning_rate(
    settings: RoleSettings, step: int, steps_per_epoch: int, scores: Sequence[float]
) -> float:
    """The rate of a step, counted from 0. `scores`: of the finished epochs, higher is better.

    Every schedule but warm_up_linear_down rises linearly over the warm-up.
    warm_up_linear_down: exp(-5 (1 - x)^2) over the warm-up, the highest rate until
    ramp_down_start_epoch (0: for a quarter of the remaining epochs), then linearly to ramp_down_to
    over ramp_down_epochs (0: until the end).
    cosine: from the highest rate at the end of the warm-up to zero.
    inverse_time: 1 / (1 + decay * step).
    """
    progress, end = step / steps_per_epoch, settings.epochs
    warm = settings.warm_up_steps / steps_per_epoch or settings.warm_up_epochs
    if progress < warm and settings.schedule != "warm_up_linear_down":
        return settings.learning_rate * (step + 1) / (warm * steps_per_epoch)
    if settings.schedule == "constant":
        factor = 1.0
    elif settings.schedule == "step":
        factor = settings.step_factor ** sum(progress >= epoch for epoch in settings.step_epochs)
    elif settings.schedule == "plateau":
        factor = settings.step_factor ** plateaus(scores, settings.patience)
    elif settings.schedule == "inverse_time":
        factor = 1 / (1 + settings.inverse_time_decay * step)
    elif settings.schedule == "cosine":
        factor = (1 + math.cos(math.pi * (progress - warm) / max(end - warm, 1))) / 2
    else:
        start = settings.ramp_down_start_epoch or warm + (end - warm) / 4
        down = max(0.0, progress - start) / max(settings.ramp_down_epochs or end - start, 1e-9)
        factor = 1 - (1 - settings.ramp_down_to) * min(down, 1.0)
        if progress < warm:
            factor *= math.exp(-5 * (1 - progress / warm) ** 2)
    return settings.learning_rate * factor


def plateaus(scores: Sequence[float], patience: int) -> int:
    """How often `patience` consecutive epochs had no better score than the best before them."""
    best, waited, count = -math.inf, 0, 0
    for score in scores:
        best, waited = (score, 0) if score > best else (best, waited + 1)
        if waited == patience:
            waited, count = 0, count + 1
    return count
