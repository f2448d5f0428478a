"""A trained model with its front end, in PyTorch: the reference of an exported file."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from data.features.front_end import FrontEnd
from models.output import probabilities_of
from models.stored import Description


class FullOutput(NamedTuple):
    """The outputs of an exported file: (B, K), (B, K), (B, D) and (B, C, T, F)."""

    probabilities: Tensor
    logits: Tensor
    embedding: Tensor
    mel: Tensor


class FullModel(nn.Module):
    """From the waveform to probabilities. Clips count as full-length: no frame is masked.

    Shapes: waveform (B, C, S) -> FullOutput.
    """

    def __init__(self, model: nn.Module, described: Description) -> None:
        super().__init__()
        self.front_end, self.model = FrontEnd(described.front_end), model
        self.task = described.task
        self.register_buffer("mean", torch.tensor(described.mean))
        self.register_buffer("std", torch.tensor(described.std))
        self.eval()

    def forward(self, waveform: Tensor) -> FullOutput:
        mel = self.features(waveform)
        logits, embedding, _ = self.model(mel)
        return FullOutput(probabilities_of(logits, self.task), logits, embedding, mel)

    def features(self, waveform: Tensor) -> Tensor:
        """The normalised input of the model: (B, C, S) -> (B, C, T, F), or (B, C, S)."""
        return (self.front_end(waveform) - self.mean) / self.std
