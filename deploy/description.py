"""The description of an exported student: the metadata of its ONNX file, checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from types import NoneType
from typing import Any
from unicodedata import category

ENTRY = "soundstill"  # key in the file's metadata
LONGEST_SHOWN = 60  # characters of a wrong value
FORMAT = 1  # version of that entry; older ones can be read, newer ones cannot


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The metadata of an exported file."""

    name: str  # such as "config bce+kd+sp seed 0"
    model: str
    task: str  # "multi_label" or "single_label"
    classes: tuple[str, ...]
    sample_rate: int  # Hz
    channels: int
    clip_seconds: float  # s, of the training clips
    any_length: bool  # False: only clips of clip_seconds
    precision: str
    front_end: dict[str, Any]  # the fields of config.Mel
    hop_seconds: float  # s, of the mel frames
    dataset: str
    licence: str  # of the data
    commit: str
    parameters: int
    macs: int
    scores: dict[str, float | None]  # None: undefined
    split: str  # on which the scores were computed
    least_samples: int = 1  # of the shortest window
    thresholds: tuple[float, ...] | None = None  # of the tags, one per class; None: not calibrated

    @classmethod
    def of(cls, text: str) -> Description:
        """Raises ValueError with the reason, for text that cannot be read."""
        try:
            found = json.loads(text)
            is_newer = found["format"] > FORMAT
            optional = {f.name: f.default for f in fields(cls) if f.default is not MISSING}
            names = () if is_newer else (f.name for f in fields(cls))
            known = {name: (optional | found)[name] for name in names}
        except KeyError as error:
            raise ValueError(f"lacks {error}; export the student again") from None
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"cannot be read ({error}); export the student again") from None
        if is_newer:
            newer = f"has format {shown(found['format'])}, the newest supported is {FORMAT}"
            raise ValueError(f"{newer}; update Soundstill")
        for name, value in known.items():
            expected, is_valid = CHECKS.get(name, TEXT)
            if not is_valid(value):
                raise ValueError(f"has {name} = {shown(value)}, expected {expected}")
        thresholds = known["thresholds"]
        if thresholds is not None and len(thresholds) != len(known["classes"]):
            counts = f"{len(thresholds)} thresholds and {len(known['classes'])} classes"
            raise ValueError(f"has {counts}")
        tuples = {name: tuple(known[name]) for name in ("classes", "thresholds") if known[name]}
        return cls(**known | tuples)


# Whoever made the file chose its values -----------------------------------------------------------


Check = tuple[str, Callable[[Any], bool]]  # what is expected, and whether a value is that


def is_text(value: Any) -> bool:
    """Without control characters, which a terminal would obey."""
    return isinstance(value, str) and not any(category(letter) == "Cc" for letter in value)


def number(low: float, high: float, *kinds: type) -> Check:
    def is_valid(value: Any) -> bool:
        return type(value) in (int, *kinds) and low <= value <= high

    return f"{'a number' if kinds else 'an integer'} from {low:g} to {high:g}", is_valid


def are_classes(value: Any) -> bool:
    return (
        isinstance(value, list) and all(map(is_text, value)) and 0 < len(set(value)) == len(value)
    )


def is_front_end(value: Any) -> bool:
    return isinstance(value, dict) and type(value.get("num_bands")) is int


def are_scores(value: Any) -> bool:
    return isinstance(value, dict) and all(
        is_text(name) and type(score) in (int, float, NoneType) for name, score in value.items()
    )


def are_thresholds(value: Any) -> bool:
    return value is None or (
        isinstance(value, list) and all(type(p) in (int, float) and 0 <= p <= 1 for p in value)
    )


TEXT = ("text without control characters", is_text)
CHECKS: dict[str, Check] = {
    "task": ("multi_label or single_label", ("multi_label", "single_label").__contains__),
    "classes": ("a list of different names", are_classes),
    "sample_rate": number(1, 768_000),
    "channels": number(1, 1024),
    "clip_seconds": number(1e-3, 3600, float),
    "hop_seconds": number(0, 3600, float),
    "least_samples": number(1, 1e10),
    "any_length": ("true or false", (True, False).__contains__),
    "front_end": ("the settings of a front end", is_front_end),
    "parameters": number(0, 1e15),
    "macs": number(0, 1e18),
    "scores": ("numbers by their names", are_scores),
    "thresholds": ("a list of numbers from 0 to 1", are_thresholds),
}


def shown(value: Any) -> str:
    return repr(value)[:LONGEST_SHOWN]
