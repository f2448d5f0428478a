"""The state of a training: all that a checkpoint holds."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn

from config import RoleSettings
from training.steps import Step


@dataclass(slots=True)
class TrainingState:
    """`epoch` counts the finished epochs; `history` has one row for each.

    best, best_score: the weights of the epoch with the highest validation score.
    swa: the mean of the weights from swa_start_epoch on (Izmailov et al., arXiv:1803.05407).
    epoch_mean: the mean of the predictions from ensemble_start_epoch on.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    step: Step
    settings: RoleSettings
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_score: float | None = None
    best: dict[str, Tensor] | None = None
    swa: AveragedModel | None = None
    epoch_mean: Tensor | None = None

    def scores(self) -> list[float]:
        return [row["score"] for row in self.history if row["score"] is not None]

    def end_epoch(self, row: dict[str, Any], predictions: Tensor | None) -> None:
        """Take in one epoch: its row of the history and, for the mean, its predictions."""
        self.history.append(row)
        self.epoch, score = row["epoch"], row["score"]
        if start := self.settings.swa_start_epoch:
            if self.epoch >= start and (self.epoch - start) % self.settings.swa_every_epochs == 0:
                self.swa = self.swa or self.new_swa()
                self.swa.update_parameters(self.model)
        elif score is not None and (self.best_score is None or score > self.best_score):
            self.best_score, self.best = score, copy.deepcopy(self.model.state_dict())
        if predictions is not None:
            share = predictions / (self.settings.epochs + 1 - self.settings.ensemble_start_epoch)
            self.epoch_mean = share if self.epoch_mean is None else self.epoch_mean + share

    def new_swa(self) -> AveragedModel:
        return AveragedModel(self.model, multi_avg_fn=get_swa_multi_avg_fn())

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "history": self.history,
            "best_score": self.best_score,
            "best": self.best,
            "average": self.swa and self.swa.module.state_dict(),
            "epoch_mean": self.epoch_mean,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step.state_dict(),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        self.epoch, self.history = saved["epoch"], saved["history"]
        self.best_score, self.best = saved["best_score"], saved["best"]
        self.epoch_mean = saved["epoch_mean"]
        self.model.load_state_dict(saved["model"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step.load_state_dict(saved["step"])
        if saved["average"] is not None:
            self.swa = self.new_swa()
            self.swa.module.load_state_dict(saved["average"])
            since = self.epoch - self.settings.swa_start_epoch
            self.swa.n_averaged.fill_(since // self.settings.swa_every_epochs + 1)
