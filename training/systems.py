"""What is written of a system, whether it was trained or is the mean of others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metrics import classwise, evaluate
from training.experiment import Experiment
from training.run_folder import write_once


def figures_of(experiment: Experiment, predicted: np.ndarray) -> dict[str, float]:
    """Every metric of the reported clips, and the headline's part of each class."""
    table = experiment.table
    judged = predicted, table.targets[experiment.parts.report], table.classes, table.task
    by_class = classwise(*judged, experiment.metric)
    return evaluate(*judged) | {f"{experiment.metric} {name}": v for name, v in by_class.items()}


def predictions_table(
    ids: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> pd.DataFrame:
    """The official submission format of DCASE urban sound tagging: audio_filename and the tags."""
    table = pd.DataFrame(probabilities, columns=list(classes))
    table.insert(0, "audio_filename", ids)
    return table


def write_mean(experiment: Experiment, folder: Path, mean: np.ndarray, **record: Any) -> None:
    """The files of a system that is no training: what it says of the reported clips, and `record`.

    Shapes: mean (N, K) probabilities.
    """
    table, rows = experiment.table, experiment.parts.report
    predictions = predictions_table(table.ids[rows], mean, table.classes)
    write_once(folder / "predictions.csv", predictions.to_csv(index=False))
    record["figures"] = figures_of(experiment, mean)
    write_once(folder / "metrics.json", json.dumps(record, indent=1))
