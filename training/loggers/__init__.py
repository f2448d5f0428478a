"""Experiment loggers, one a file. To add one: write the file and add a line here; [run] LOGGER
names it.

A `Logger` records one training: its settings, the figures of each epoch and the test scores. It is
constructed when the training starts or resumes, and a training that was killed goes on in the same
run of the tracker. It may fail at any time: the training goes on without it.
"""

from training.loggers.logger import Logger
from training.loggers.mlflow import Mlflow
from training.loggers.tensorboard import TensorBoard
from training.loggers.trackio import Trackio
from training.loggers.wandb import WeightsAndBiases

LOGGERS: dict[str, type[Logger]] = {
    "mlflow": Mlflow,
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": WeightsAndBiases,
}
