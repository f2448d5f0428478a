"""[data]: recordings, labels, splits and folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from config.errors import ConfigError
from config.fields import key, options_field

Task = Literal["single_label", "multi_label"]  # of a data set


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """[data]: the data set, its clips, and how they are split."""

    dataset: str = key("street_sounds", "name of a data set; `python -m data` lists them")
    root: str = key("", "folder of the recordings; empty: audio/<dataset>")
    clip_seconds: float = key(
        0.0,
        "s; length to which every clip is cut or padded; 0: that of the data set",
        low=0,
        high=3600,
    )
    protocol: Literal["held_out", "paper"] = key(
        "held_out",
        "held_out: the epoch is chosen on validation clips that are disjoint from the test clips; "
        "paper: it is chosen on the test clips, as in some publications, and groups may be in both "
        "training and test",
    )
    hold_out: float = key(
        0.15,
        "fraction of the training groups (sensors, recordings) that serve as validation set where "
        "the data set has none; 0: no validation, the last epoch is kept",
        low=0,
        high=0.5,
    )
    label_share: float = key(
        1.0,
        "fraction of the training clips of each class, at least one, whose labels are used; the "
        "others are clips without labels",
        low=0,
        high=1,
    )
    enhance_labels: str = key(
        "",
        "logits of a teacher of the same clips, which add labels to the training clips of a "
        "multi-label data set (PSLA): a .safetensors file of `python -m training.logits`, or its "
        "folder of seeds and folds, of which the first of [run] SEEDS is used; empty: none",
    )
    enhance_threshold: Literal["mean", "median", "p25", "p10", "p5"] = key(
        "mean",
        "of ENHANCE_LABELS: a child or an ancestor of a clip's label is added where the teacher's "
        "probability is above this mean or percentile of the clips that have it as a label",
    )
    ontology: str = key("", "of ENHANCE_LABELS: AudioSet's ontology.json, or a file like it")
    folds: tuple[int, ...] = key(
        (), "cross-validation folds to run, such as 1, 2; empty: all of the data set", low=1
    )
    on_bad_audio: Literal["stop", "skip"] = key(
        "stop",
        "stop: list every unreadable file and end with status 1; "
        "skip: list them and leave them out",
    )
    outside_root: Literal["refuse", "allow"] = key(
        "refuse",
        "recordings outside ROOT, by an absolute path, by .. or by a link; allow: the table of the "
        "clips is trusted",
    )
    options: Mapping[str, str] = options_field()

    def __post_init__(self) -> None:
        if self.enhance_labels and not self.ontology:
            raise ConfigError("[data] ontology", "is empty, but ENHANCE_LABELS requires it")
