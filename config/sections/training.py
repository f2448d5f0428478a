"""[teacher] and [student]: a model and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from config.errors import ConfigError
from config.fields import LIMIT, key, key_fields, options_field, to_text

BACKBONE = "backbone"  # of FREEZE: every parameter but the classifier's
HEAD_KEYS = {"head_fit", "head_c", "freeze", "model", "epochs", "losses"}
HEAD_KEYS |= {"init", "load_classifier", "init_colours"}
"""What HEAD_FIT = logistic_regression depends on, or what is checked elsewhere."""

LINEAR_DOWN = ("schedule", ("warm_up_linear_down",))
USED_WITH = {
    "adam_betas": ("optimiser", ("adam", "amsgrad", "adamw")),
    "step_epochs": ("schedule", ("step",)),
    "step_factor": ("schedule", ("step", "plateau")),
    "patience": ("schedule", ("plateau",)),
    "inverse_time_decay": ("schedule", ("inverse_time",)),
    **dict.fromkeys(("ramp_down_start_epoch", "ramp_down_epochs", "ramp_down_to"), LINEAR_DOWN),
}
"""Keys that have no effect but beside some values of another key: both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSettings:
    """[teacher] and [student]: a model and its training."""

    model: str = key(
        "dcase_net", "name of a model, see `python -m models`, or file.py:function of your own"
    )
    epochs: int = key(50, "passes over the training clips; 0: the model is only evaluated", low=0)
    learning_rate: float = key(1e-4, "peak learning rate", low=0, high=1000)
    backbone_lr_scale: float = key(
        1.0,
        "learning rate of all parameters but the classifier's, as a multiple of LEARNING_RATE; "
        "SLCA's slow learner has 0.01",
        low=0,
    )
    batch_size: int = key(8, "clips", low=1, high=100_000)
    optimiser: Literal["adam", "amsgrad", "adamw", "sgd"] = key(
        "adam", "sgd has Nesterov momentum 0.9"
    )
    weight_decay: float = key(0.0, "L2 for adam, amsgrad and sgd, decoupled for adamw", low=0)
    adam_betas: tuple[float, ...] = key(
        (0.9, 0.999), "betas of adam, amsgrad and adamw", low=0, high=0.999999
    )
    schedule: Literal[
        "constant", "cosine", "step", "plateau", "inverse_time", "warm_up_linear_down"
    ] = key(
        "constant",
        "of the learning rate; inverse_time: divided by 1 + INVERSE_TIME_DECAY x steps; "
        "warm_up_linear_down: exponential warm-up, constant, linear ramp-down to RAMP_DOWN_TO",
    )
    warm_up_epochs: int = key(
        0, "length of the warm-up, exponential in warm_up_linear_down, else linear", low=0
    )
    warm_up_steps: int = key(0, "length of the warm-up in steps; 0: WARM_UP_EPOCHS", low=0)
    ramp_down_start_epoch: int = key(
        0,
        "epochs before the ramp-down of warm_up_linear_down; 0: the warm-up and a quarter of the "
        "remaining epochs",
        low=0,
    )
    ramp_down_epochs: int = key(0, "length of the ramp-down; 0: until the last epoch", low=0)
    ramp_down_to: float = key(
        0.01, "final learning rate, as a multiple of LEARNING_RATE", low=0, high=1
    )
    step_epochs: tuple[int, ...] = key(
        (), "epochs after which SCHEDULE = step multiplies the rate by STEP_FACTOR", low=1
    )
    step_factor: float = key(0.5, "factor of SCHEDULE = step and plateau", low=0, high=1)
    patience: int = key(
        5, "epochs without a better validation score before SCHEDULE = plateau takes a step", low=1
    )
    inverse_time_decay: float = key(1e-4, "decay per step of SCHEDULE = inverse_time", low=0)
    sampling: Literal["shuffled", "balanced"] = key(
        "shuffled",
        "shuffled: every training clip once per epoch; balanced: EPOCH_CLIPS clips sampled with "
        "replacement, weighted by inverse class frequency",
    )
    epoch_clips: int = key(
        0, "clips per epoch of SAMPLING = balanced; 0: the number of training clips", low=0
    )
    swa_start_epoch: int = key(
        0,
        "stochastic weight averaging: the final weights are the mean over this and every later "
        "epoch, and validation chooses no epoch; 0: off",
        low=0,
    )
    swa_every_epochs: int = key(
        1,
        "epochs from one of the averaged weights to the next, the first at SWA_START_EPOCH",
        low=1,
    )
    ensemble_start_epoch: int = key(
        0,
        "the predictions after this and every later epoch are averaged as one more system, "
        "teacher@epochs or student@epochs; 0: off",
        low=0,
    )
    align_epochs: int = key(
        0,
        "classifier alignment (SLCA, 5 there): epochs of the classifier alone, on embeddings "
        "sampled from one Gaussian per class; 0: off",
        low=0,
    )
    gradient_clip: float = key(0.0, "maximum norm of the gradient; 0: off", low=0)
    label_smoothing: float = key(
        0.0, "fraction of the target spread over all classes", low=0, high=0.5
    )
    pos_weight: str = key(
        "",
        "weight of present labels in the loss bce: a number, or balanced: negatives / positives of "
        "each class among the training clips, at most 100; empty: 1",
    )
    centre_lr: float = key(
        0.5, "update rate of the class centres of the loss centre", low=0, high=1
    )
    init: str = key(
        "",
        "initial weights: the name of a published model, such as yamnet, which brings MODEL, its "
        "options and its front end, see `python -m models --pretrained`; a .safetensors file, a "
        "published checkpoint; trainings of another run such as runs/OTHER/teacher or "
        "runs/OTHER/student/ce+kd (same seed and fold if there are several), teacher (the teacher "
        "of this run), or imagenet (downloaded by timm)",
    )
    load_classifier: bool = key(
        True,
        "yes: INIT holds all weights, of the same classes and clip length; no, the default with "
        "HEAD_FIT = logistic_regression: the classifier is initialised at random and position "
        "embeddings are cropped or interpolated, as always with imagenet",
    )
    init_colours: Literal["sum", "average"] = key(
        "sum", "how the RGB weights of the first layer of imagenet are reduced to one channel"
    )
    freeze: tuple[str, ...] = key(
        (),
        "prefixes of the names of parameters that are not trained; backbone: all but the "
        "classifier's, in evaluation mode, so that unaugmented clips have embeddings that are "
        "computed once",
    )
    head_fit: Literal["gradient", "logistic_regression"] = key(
        "gradient",
        "how the classifier of FREEZE = backbone is trained: gradient, in EPOCHS; "
        "logistic_regression: fitted by scikit-learn on standardised embeddings of unaugmented "
        "clips, with EPOCHS = 0",
    )
    head_c: float = key(
        0.1, "inverse regularisation strength of HEAD_FIT = logistic_regression", low=1e-9
    )
    options: Mapping[str, str] = options_field()

    @property
    def freezes_backbone(self) -> bool:
        return BACKBONE in self.freeze

    @property
    def is_used_as_it_is(self) -> bool:
        """With the classifier of INIT, of which nothing is trained."""
        trained = self.epochs or self.align_epochs or self.freezes_backbone
        return self.load_classifier and not trained

    def __post_init__(self) -> None:
        where = f"[{type(self).__name__.lower()}]"
        self.check_head(where)
        if self.epochs == 0:  # nothing is trained by gradient
            return
        if self.pos_weight not in ("", "balanced") and not is_positive(self.pos_weight):
            found = f"found {self.pos_weight!r}, expected balanced or a number above 0"
            raise ConfigError(f"{where} pos_weight", found)
        if self.schedule == "step" and not self.step_epochs:
            raise ConfigError(f"{where} step_epochs", "found none, but SCHEDULE is step")
        if len(self.adam_betas) != 2:
            raise ConfigError(
                f"{where} adam_betas", f"found {len(self.adam_betas)}, expected two: 0.9, 0.999"
            )
        for name in ("swa_start_epoch", "ensemble_start_epoch"):
            if getattr(self, name) > self.epochs:
                raise ConfigError(
                    f"{where} {name}",
                    f"found {getattr(self, name)}, expected at most epochs, {self.epochs}",
                )
        if self.swa_every_epochs != 1 and not self.swa_start_epoch:
            found = f"found {self.swa_every_epochs}, but SWA_START_EPOCH is 0"
            raise ConfigError(f"{where} swa_every_epochs", found)
        if self.epoch_clips and self.sampling != "balanced":
            found = f"found {self.epoch_clips}, but SAMPLING is {self.sampling}"
            raise ConfigError(f"{where} epoch_clips", found)
        for name, (other, values) in USED_WITH.items():
            found, chosen = getattr(self, name), getattr(self, other)
            if found != key_fields(self)[name].default and chosen not in values:
                unused = f"found {to_text(found)}, which {other.upper()} = {chosen} does not use"
                raise ConfigError(f"{where} {name}", unused)
        if self.warm_up_epochs and self.warm_up_steps:
            raise ConfigError(
                f"{where} warm_up_steps",
                f"found {self.warm_up_steps} beside WARM_UP_EPOCHS = {self.warm_up_epochs}: "
                "expected one of them",
            )
        if self.warm_up_epochs > self.epochs:
            raise ConfigError(
                f"{where} warm_up_epochs",
                f"found {self.warm_up_epochs}, expected at most epochs, {self.epochs}",
            )

    def check_head(self, where: str) -> None:
        """Raises ConfigError where FREEZE and HEAD_FIT leave a key without effect."""
        if self.freezes_backbone and len(self.freeze) > 1:
            found = f"found {to_text(self.freeze)}, but {BACKBONE} is every other prefix already"
            raise ConfigError(f"{where} freeze", found)
        if self.freezes_backbone and self.backbone_lr_scale != 1:
            found = f"found {self.backbone_lr_scale:g}, but FREEZE is {BACKBONE}"
            raise ConfigError(f"{where} backbone_lr_scale", found)
        defaults = {name: f.default for name, f in key_fields(self).items()}
        if self.head_fit == "gradient":
            if self.head_c != defaults["head_c"]:
                found = f"found {self.head_c:g}, but HEAD_FIT is gradient"
                raise ConfigError(f"{where} head_c", found)
            return
        if not self.freezes_backbone:
            found = f"found {self.head_fit!r}, which requires FREEZE = {BACKBONE}"
            raise ConfigError(f"{where} head_fit", found)
        if self.epochs:
            found = (
                f"found {self.epochs}, but HEAD_FIT = {self.head_fit} has no epochs: set it to 0"
            )
            raise ConfigError(f"{where} epochs", found)
        if self.load_classifier:
            found = f"found yes, but HEAD_FIT = {self.head_fit} fits a new classifier"
            raise ConfigError(f"{where} load_classifier", found)
        for name in (name for name in defaults if name not in HEAD_KEYS):
            if (value := getattr(self, name)) != defaults[name]:
                found = f"found {to_text(value)}, which HEAD_FIT = {self.head_fit} does not use"
                raise ConfigError(f"{where} {name}", found)


def is_positive(text: str) -> bool:
    try:
        return 0 < float(text) <= LIMIT
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher(RoleSettings):
    """[teacher]: the model that students are distilled from, and its training."""

    losses: str = key(
        "", "loss mix of the teacher, such as ce+centre; empty: bce for tags, ce for one label"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Student(RoleSettings):
    """[student]: the model that is distilled, and its training."""

    model: str = key(
        "dcase_small", "name of a model, see `python -m models`, or file.py:function of your own"
    )
