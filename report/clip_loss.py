"""The cross-entropy of each clip, to find the clips on which two systems differ."""

from __future__ import annotations

import numpy as np

from config import Task
from report.run import Predictions

SMALLEST_PROBABILITY = 1e-7


def clip_losses(predictions: Predictions, task: Task) -> np.ndarray:
    """Cross-entropy of each clip, in nats: of its class, or the mean over all tags. -> (N,)."""
    _, probabilities, targets = predictions
    of_truth = np.where(targets, probabilities, 1 - probabilities)
    logs = -np.log(np.maximum(of_truth, SMALLEST_PROBABILITY))
    return logs.mean(axis=1) if task == "multi_label" else logs[targets]
