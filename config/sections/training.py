"""[teacher] and [student]: a model and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from config.errors import ConfigError
from config.fields import key, options_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """[teacher] and [student]: a model and how it is trained."""

    model: str = key("dcase_net", "name in models.MODELS, or file.py:function of your own")
    epochs: int = key(50, "passes over the training clips; 0: the model is taken as it is", low=0)
    learning_rate: float = key(1e-4, "at its highest", low=0)
    backbone_lr_scale: float = key(
        1.0,
        "times LEARNING_RATE: that of all but the classifier; 0.01 is the slow learner of SLCA",
        low=0,
    )
    batch_size: int = key(8, "clips", low=1)
    optimiser: Literal["adam", "amsgrad", "adamw", "sgd"] = key(
        "adam", "sgd has Nesterov momentum 0.9"
    )
    weight_decay: float = key(0.0, "L2 for adam, amsgrad and sgd, decoupled for adamw", low=0)
    adam_betas: tuple[float, ...] = key(
        (0.9, 0.999),
        "decay of the two running means of adam, amsgrad and adamw, a step",
        low=0,
        high=0.999999,
    )
    schedule: Literal[
        "constant", "cosine", "step", "plateau", "inverse_time", "warm_up_linear_down"
    ] = key(
        "constant",
        "of the learning rate; inverse_time: over 1 + inverse_time_decay x the steps so far; "
        "warm_up_linear_down: exponential warm-up, constant, linear down to ramp_down_to",
    )
    warm_up_epochs: int = key(
        0, "in which the rate rises: exponentially in warm_up_linear_down, else linearly", low=0
    )
    warm_up_steps: int = key(0, "the same in steps; 0: as warm_up_epochs says", low=0)
    ramp_down_start_epoch: int = key(
        0,
        "epochs before warm_up_linear_down goes down; 0: the warm-up and a quarter of what is left",
        low=0,
    )
    ramp_down_epochs: int = key(0, "in which it goes down; 0: to the last", low=0)
    ramp_down_to: float = key(0.01, "times LEARNING_RATE, where it stays", low=0, high=1)
    step_epochs: tuple[int, ...] = key(
        (), "epochs after which step multiplies the rate by step_factor", low=1
    )
    step_factor: float = key(0.5, "of step and plateau", low=0, high=1)
    patience: int = key(
        5, "epochs without a better validation score before plateau takes a step", low=1
    )
    inverse_time_decay: float = key(1e-4, "a step; how fast inverse_time falls", low=0)
    sampling: Literal["shuffled", "balanced"] = key(
        "shuffled",
        "shuffled: every training clip once an epoch; balanced: epoch_clips are drawn, with "
        "replacement, rare classes as often as common ones",
    )
    epoch_clips: int = key(
        0, "of SAMPLING = balanced; 0: as many as there are training clips", low=0
    )
    swa_start_epoch: int = key(
        0,
        "the weights that are kept are the mean of those after this epoch and every later one, "
        "and none is chosen; 0: not averaged",
        low=0,
    )
    ensemble_start_epoch: int = key(
        0,
        "what the model says after this epoch and every later one is averaged, as one more system: "
        "teacher@epochs or student@epochs; 0: none",
        low=0,
    )
    align_epochs: int = key(
        0,
        "in which the classifier alone is trained once more, on embeddings drawn from a Gaussian "
        "for each class; SLCA has 5; 0: none",
        low=0,
    )
    gradient_clip: float = key(0.0, "largest norm of the gradient; 0: not clipped", low=0)
    label_smoothing: float = key(0.0, "share of the label spread over the classes", low=0, high=0.5)
    centre_lr: float = key(
        0.5, "how far the class centres of the loss centre follow their clips", low=0, high=1
    )
    init: str = key(
        "",
        "weights to start from: a .safetensors file, a published checkpoint, trainings such as "
        "runs/OTHER/teacher or runs/OTHER/student/ce+kd (of the same seed and fold, or the only "
        "one of this seed, or of all), teacher, this run's own, or imagenet, which timm fetches",
    )
    load_classifier: bool = key(
        True,
        "yes: INIT fills the whole model, whose classes and clip length must be the same; no: the "
        "classifier is new, and positions are cropped or interpolated, as always with ImageNet",
    )
    init_colours: Literal["sum", "average"] = key(
        "sum", "what the first layer makes of the three colours of ImageNet"
    )
    freeze: tuple[str, ...] = key((), "beginnings of parameter names that are not trained")
    options: Mapping[str, str] = options_field()

    def __post_init__(self) -> None:
        if self.epochs == 0:  # nothing is trained
            return
        where = f"[{type(self).__name__.lower()}]"
        if self.schedule == "step" and not self.step_epochs:
            raise ConfigError(f"{where} step_epochs", "found none, which schedule = step wants")
        if len(self.adam_betas) != 2:
            raise ConfigError(
                f"{where} adam_betas", f"found {len(self.adam_betas)}, want two: 0.9, 0.999"
            )
        for name in ("swa_start_epoch", "ensemble_start_epoch"):
            if getattr(self, name) > self.epochs:
                raise ConfigError(
                    f"{where} {name}",
                    f"found {getattr(self, name)}, want at most epochs, {self.epochs}",
                )
        if self.epoch_clips and self.sampling != "balanced":
            found = f"found {self.epoch_clips}, but SAMPLING is {self.sampling}"
            raise ConfigError(f"{where} epoch_clips", found)
        if self.schedule != "warm_up_linear_down" and (
            self.ramp_down_start_epoch or self.ramp_down_epochs
        ):
            name = "ramp_down_start_epoch" if self.ramp_down_start_epoch else "ramp_down_epochs"
            raise ConfigError(
                f"{where} {name}",
                f"found {getattr(self, name)}, which SCHEDULE = {self.schedule} does not read",
            )
        if self.warm_up_epochs and self.warm_up_steps:
            raise ConfigError(
                f"{where} warm_up_steps",
                f"found {self.warm_up_steps} beside WARM_UP_EPOCHS = {self.warm_up_epochs}: "
                "want one of them",
            )
        if self.warm_up_epochs > self.epochs:
            raise ConfigError(
                f"{where} warm_up_epochs",
                f"found {self.warm_up_epochs}, want at most epochs, {self.epochs}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher(Role):
    """[teacher]"""

    losses: str = key("", "loss mix that it is trained with, such as ce+centre; empty: bce or ce")


@dataclass(frozen=True, slots=True, kw_only=True)
class Student(Role):
    """[student]"""

    model: str = key("dcase_small", "name in models.MODELS, or file.py:function of your own")
