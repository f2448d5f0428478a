"""[distillation]: the loss mixes and the teacher outputs that a student is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config.errors import ConfigError
from config.fields import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """[distillation]: what the student learns from, besides the labels."""

    variants: tuple[str, ...] = key(
        ("bce", "bce+kd", "bce+kd+sp"),
        "loss mixes to train, each its own student; taught by the teacher and its specialists, or, "
        "as in kd@teacher, by the teacher alone, or, as in kd@fusion, by FUSION of [ensembles]",
    )
    softmax_temperature: float = key(2.0, "of kd", low=1e-3)
    temperature_on: Literal["both", "teacher"] = key("both", "whose logits the temperature divides")
    squared_temperature: bool = key(False, "multiply kd by the temperature squared (Hinton et al.)")
    standardise_logits: bool = key(
        False, "kd takes z-scores of logits over the classes of each clip (Sun et al.)"
    )
    kd_reduction: Literal["auto", "sum", "mean"] = key(
        "auto", "how kd is reduced; auto: the sum for one label a clip, the mean for tags"
    )
    teacher: Literal["auto", "online", "cached"] = key(
        "auto",
        "cached: the teacher's outputs are computed once and kept on disk; "
        "online: in each step, on the augmented clips; "
        "auto: cached where the teacher's inputs repeat from epoch to epoch and its outputs fit",
    )
    teacher_weights: tuple[float, ...] = key(
        (), "of the terms of the teacher and of each specialist; empty: 1 each", low=0
    )
    teacher_input: Literal["augmented", "clean", "concatenated"] = key(
        "augmented",
        "augmented: the student's clip, with the same augmentation and crop; clean: the clip "
        "without augmentation; concatenated: that, followed by another clip of its class",
    )
    augmented_views: int = key(
        0,
        "augmented views of each training clip, sampled once and replayed, view e mod "
        "AUGMENTED_VIEWS in epoch e, so that the teacher's outputs can be cached under [augment]; "
        "0: augmentation is sampled in each epoch",
        low=0,
    )

    def __post_init__(self) -> None:
        if not self.variants:
            raise ConfigError(
                "[distillation] variants", "found none, want one or more: bce, bce+kd"
            )
        if self.teacher_input != "augmented" and (self.augmented_views or self.teacher == "online"):
            what = "AUGMENTED_VIEWS" if self.augmented_views else "TEACHER = online"
            raise ConfigError(
                "[distillation] teacher_input",
                f"found {self.teacher_input!r}, whose outputs are cached once; {what} does not fit",
            )
