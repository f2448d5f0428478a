"""[data]: recordings, labels, splits and folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from config.fields import key, options_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """[data]: which recordings, which labels, which part is trained on and which is reported."""

    dataset: str = key("street_sounds", "name in data.datasets.DATASETS")
    root: str = key("", "folder of the recordings; audio/<dataset> where empty")
    clip_seconds: float = key(
        0.0, "s; every clip is cut or padded to this length; 0: as the data set says", low=0
    )
    protocol: Literal["held_out", "paper"] = key(
        "held_out",
        "held_out: the epoch is chosen on clips that are never reported; "
        "paper: chosen on the reported split, as the published system did",
    )
    hold_out: float = key(
        0.15,
        "share of the training groups (sensors, recordings) that choose the epoch where the data "
        "set has no split for it; 0: the last epoch is kept",
        low=0,
        high=0.5,
    )
    folds: tuple[int, ...] = key(
        (), "folds to run, such as 1, 2; empty: all that the data set has", low=1
    )
    on_bad_audio: Literal["stop", "skip"] = key(
        "stop",
        "stop: list every unreadable file and end with status 1; "
        "skip: record them and leave them out",
    )
    options: Mapping[str, str] = options_field()
