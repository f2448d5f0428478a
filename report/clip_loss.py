"""How far each clip's probabilities lie from its labels: it tells where two systems differ."""

from __future__ import annotations

import numpy as np

from metrics.inputs import Task
from report.run import Judged

SMALLEST_PROBABILITY = 1e-7


def clip_losses(judged: Judged, task: Task) -> np.ndarray:
    """Cross-entropy of each clip, in nats: of its class, or the mean over all tags. -> (N,)."""
    of_truth = np.where(judged.targets, judged.probabilities, 1 - judged.probabilities)
    logs = -np.log(np.maximum(of_truth, SMALLEST_PROBABILITY))
    return logs.mean(axis=1) if task == "multi_label" else logs[judged.targets]
