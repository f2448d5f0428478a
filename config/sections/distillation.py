"""[distillation]: the loss mixes and the teacher outputs that a student is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config.errors import ConfigError
from config.fields import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Distillation:
    """[distillation]: the loss mixes of the students and the outputs of the teacher."""

    variants: tuple[str, ...] = key(
        (),
        "loss mixes, one student each; empty: bce, bce+kd, bce+kd+sp for tags, ce, ce+kd, ce+kd+sp "
        "for one label; the teachers of a mix are the teacher and the specialists, or the "
        "teacher alone (kd@teacher), the specialists alone (kd@specialists), one of all in each "
        "batch (kd@random), or an ensemble of [ensembles] (kd@fusion)",
    )
    softmax_temperature: float = key(
        2.0, "temperature of kd, and of other losses that have one", low=1e-3
    )
    temperature_on: Literal["both", "teacher"] = key(
        "both",
        "logits that the temperature divides: of student and teacher, or of the teacher only",
    )
    squared_temperature: bool = key(False, "multiply kd by the temperature squared (Hinton et al.)")
    standardise_logits: bool = key(
        False, "kd takes the z-scores of the logits over the classes of each clip (Sun et al.)"
    )
    kd_reduction: Literal["auto", "sum", "mean"] = key(
        "auto", "reduction of kd over classes; auto: the sum for one label, the mean for tags"
    )
    teacher: Literal["auto", "online", "cached"] = key(
        "auto",
        "cached: the teacher's outputs are computed once and stored on disk; "
        "online: the teacher runs in each step, on the augmented clips; "
        "auto: cached where the teacher's inputs repeat from epoch to epoch and its outputs fit",
    )
    teacher_weights: tuple[float, ...] = key(
        (),
        "weights of the distillation terms of the teacher and of each specialist; empty: 1 each",
        low=0,
    )
    teacher_input: Literal["augmented", "clean", "concatenated"] = key(
        "augmented",
        "augmented: the student's clip, with the same augmentation and crop; clean: the clip "
        "without augmentation; concatenated: that, followed by another clip of its class",
    )
    augmented_views: int = key(
        0,
        "augmented views of each training clip, sampled once and replayed, view e mod "
        "AUGMENTED_VIEWS in epoch e, to students of labels alone too, so that the outputs of the "
        "teacher and of a frozen backbone can be cached under [augment]; 0: augmentation is "
        "sampled in each epoch",
        low=0,
        high=10_000,
    )

    def __post_init__(self) -> None:
        if self.teacher_input != "augmented" and (self.augmented_views or self.teacher == "online"):
            what = "AUGMENTED_VIEWS" if self.augmented_views else "TEACHER = online"
            raise ConfigError(
                "[distillation] teacher_input",
                f"found {self.teacher_input!r}, which computes outputs once and excludes {what}",
            )
