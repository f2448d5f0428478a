"""The training loop of teachers and students."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from config import RoleSettings, UserError
from data.loading.batches import Batches
from models.dymn import lower_temperature
from models.freeze import training_mode
from models.quantised import freeze_ranges
from training.batch_norm import average_statistics
from training.device import forward_precision
from training.distributed import rank
from training.loggers.chosen import Loggers
from training.optimisers import build_optimiser
from training.progress import ProgressBar
from training.run_folder import TrainingFolder
from training.schedules import learning_rate
from training.state import TrainingState
from training.steps import Step

FIGURES = ("epoch", "learning_rate", "loss", "score", "seconds")  # and each term of the loss


class Fitted(NamedTuple):
    history: pd.DataFrame
    epoch_mean: Tensor | None  # mean of `predict` over the epochs from ensemble_start_epoch on
    earlier_seconds: float  # of the epochs before the training was resumed


def fit(
    model: nn.Module,
    step: Step,
    batches: Batches,
    settings: RoleSettings,
    folder: TrainingFolder,
    loggers: Loggers,
    *,
    seed: int,
    device: torch.device,
    precision: Literal["float32", "bfloat16"],
    validate: Callable[[nn.Module], float] | None,
    predict: Callable[[nn.Module], Tensor] | None = None,
    freeze_from_epoch: int = 0,
    title: str,
) -> Fitted:
    """Train `model` for settings.epochs and leave the selected weights in it.

    The first epoch with the highest score of `validate` is selected; the last one where that is
    None; with swa_start_epoch the mean of the weights. From freeze_from_epoch on (0: never) batch
    statistics and the ranges of int8 stay fixed. All randomness of an epoch follows from (seed,
    epoch, rank), and the full state is saved after each: a training that was killed ends with the
    same weights.
    """
    optimiser = build_optimiser(model, settings, device, step.parameters())
    state = TrainingState(model, optimiser, step, settings)
    if saved := folder.read_checkpoint():
        state.load_state_dict(saved)
    earlier_seconds = sum(row["seconds"] for row in state.history)
    loggers.start(state.epoch)
    bar = ProgressBar(title, settings.epochs, len(batches), state.epoch)
    for epoch in range(state.epoch, settings.epochs):
        started = time.perf_counter()
        seed_epoch(seed, epoch)
        training_mode(model, settings.freeze)
        if epoch and not settings.freezes_backbone:
            lower_temperature(model)
        if 0 < freeze_from_epoch <= epoch + 1:
            freeze_ranges(model)
        means = train_epoch(state, batches, device, precision, bar)
        if not math.isfinite(means["loss"]):
            raise UserError(
                f"{title}: the loss is {means['loss']} in epoch {epoch + 1}; "
                "try a lower LEARNING_RATE"
            )
        row: dict[str, float | None] = {
            "epoch": epoch + 1,
            **means,
            "score": validate(model) if validate else None,
            "seconds": time.perf_counter() - started,
        }
        averaged = 0 < settings.ensemble_start_epoch <= epoch + 1
        state.end_epoch(row, predict(model) if predict and averaged else None)
        folder.write_checkpoint(state.state_dict())
        loggers.add(row)
        bar.end_epoch(row)
    bar.close()
    load_selected(state, batches, seed)
    history = pd.DataFrame(state.history or {k: [] for k in FIGURES})
    return Fitted(history, state.epoch_mean, earlier_seconds)


def seed_epoch(seed: int, epoch: int) -> None:
    torch.manual_seed(seed * 1_000_003 + epoch + rank() * 15_485_863)


def train_epoch(
    state: TrainingState,
    batches: Batches,
    device: torch.device,
    precision: Literal["float32", "bfloat16"],
    bar: ProgressBar,
) -> dict[str, float]:
    """One pass over the training clips: the last learning rate and the mean of each loss term."""
    settings, optimiser, scores = state.settings, state.optimiser, state.scores()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    sums: dict[str, Tensor] = {}
    for index, batch in enumerate(batches.epoch(state.epoch), state.epoch * len(batches)):
        rate = learning_rate(settings, index, len(batches), scores)
        for group in optimiser.param_groups:
            group["lr"] = rate * group["share"]
        with forward_precision(device, precision):
            terms = state.step(batch)
        optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()
        if settings.gradient_clip:
            nn.utils.clip_grad_norm_(parameters, settings.gradient_clip)
        optimiser.step()
        for name, term in terms.items():
            sums[name] = sums.get(name, 0) + term.detach() * len(batch.rows)
        bar.end_batch(terms["loss"])
    means = {name: float(total) / len(batches.sampler) for name, total in sums.items()}
    return {"learning_rate": rate, **means}


def load_selected(state: TrainingState, batches: Batches, seed: int) -> None:
    """Leave the selected weights in the model, in evaluation mode.

    The statistics of averaged weights are not the average of their statistics, so those of batch
    normalisation are computed again, in training mode: under torchrun over all processes. Those of
    a frozen backbone stay as they are.
    """
    if state.swa is not None:
        state.model.load_state_dict(state.swa.module.state_dict())
        if not state.settings.freezes_backbone:
            seed_epoch(seed, state.epoch)
            role, every = state.step.role, batches.epoch(state.epoch)
            average_statistics(state.model, ((one.inputs[role], len(one.rows)) for one in every))
    elif state.best is not None:
        state.model.load_state_dict(state.best)
    state.model.eval()
