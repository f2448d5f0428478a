"""An exported student: an ONNX file from waveform to probabilities, written by export_student.py.

It runs without PyTorch: it requires onnxruntime and numpy only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple
from unicodedata import category

import numpy as np

from config import UserError

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

    @classmethod
    def of(cls, text: str) -> Description:
        """Raises ValueError with the reason, for text that cannot be read."""
        try:
            found = json.loads(text)
            is_newer = found["format"] > FORMAT
            known = {} if is_newer else {f.name: found[f.name] for f in fields(cls)}
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
        return cls(**known | {"classes": tuple(known["classes"])})


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


TEXT = ("text without control characters", is_text)
CHECKS: dict[str, Check] = {
    "task": ("multi_label or single_label", ("multi_label", "single_label").__contains__),
    "classes": ("a list of different names", are_classes),
    "sample_rate": number(1, 768_000),
    "channels": number(1, 1024),
    "clip_seconds": number(1e-3, 3600, float),
    "hop_seconds": number(0, 3600, float),
    "any_length": ("true or false", (True, False).__contains__),
    "front_end": ("the settings of a front end", is_front_end),
    "parameters": number(0, 1e15),
    "macs": number(0, 1e18),
    "scores": ("numbers by their names", are_scores),
}


def shown(value: Any) -> str:
    return repr(value)[:LONGEST_SHOWN]


class AudioSpec(NamedTuple):
    """The format of a model's input."""

    sample_rate: int  # Hz
    channels: int


class Prediction(NamedTuple):
    probabilities: np.ndarray  # (K,)
    mel: np.ndarray | None  # (C, T, F), normalised; None for a model that reads the waveform


class Student:
    """An onnxruntime session on one core: tiny models are no faster on several.

    Raises UserError for a file that is missing, broken or not an exported student.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        self.path = path
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised as exceptions
        try:
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's have no common base class
            raise UserError(f"{path}: not readable as an ONNX model ({reason(error)})") from None
        self.description = self.read_description()
        self.outputs = [output.name for output in self.session.get_outputs()]
        if [entry.name for entry in self.session.get_inputs()] != ["waveform"] or (
            "probabilities" not in self.outputs
        ):
            raise UserError(f"{path}: does not take a waveform and give probabilities")
        probabilities = self.session.get_outputs()[self.outputs.index("probabilities")]
        count, classes = probabilities.shape[-1], len(self.description.classes)
        if count != classes:
            raise UserError(f"{path}: has {count} probabilities and {classes} classes")

    def read_description(self) -> Description:
        text = self.session.get_modelmeta().custom_metadata_map.get(ENTRY)
        if text is None:
            raise UserError(
                f"{self.path}: has no description; expected a student that export_student.py wrote"
            )
        try:
            return Description.of(text)
        except ValueError as error:
            raise UserError(f"{self.path}: its description {error}") from None

    @property
    def audio_spec(self) -> AudioSpec:
        return AudioSpec(self.description.sample_rate, self.description.channels)

    def predict(self, waveform: np.ndarray) -> Prediction:
        """Of one window, (C, S) float32. Raises UserError for a length that the model does not
        support, and for probabilities that are not finite.
        """
        names = [name for name in ("probabilities", "mel") if name in self.outputs]
        try:
            found = self.session.run(names, {"waveform": waveform[None]})
        except Exception as error:
            seconds = waveform.shape[-1] / self.description.sample_rate
            raise UserError(
                f"{self.path}: cannot process a window of {seconds:g} s ({reason(error)})"
            ) from None
        probabilities, mel = found[0][0], found[1][0] if len(found) > 1 else None
        if not np.isfinite(probabilities).all():
            raise UserError(f"{self.path}: its probabilities are not finite: {probabilities}")
        return Prediction(probabilities, mel)

    def about(self) -> str:
        """The description as readable text."""
        d = self.description
        length = "any length" if d.any_length else "only this length"
        channels = "mono" if d.channels == 1 else f"{d.channels} channels"
        scores = ", ".join(f"{k} {v:.4f}" for k, v in d.scores.items() if v is not None)
        bands = f"{d.front_end['num_bands']} mel bands every {d.hop_seconds:g} s"
        lines = {
            "name": d.name,
            "model": f"{d.model}, {d.precision}, {self.path.stat().st_size:,} bytes",
            "cost": f"{d.parameters:,} parameters, {d.macs:,} MACs per clip",
            "input": f"{d.clip_seconds:g} s ({length}) at {d.sample_rate} Hz, {channels}; "
            + (bands if "mel" in self.outputs else "raw waveform"),
            "classes": f"{'any' if d.task == 'multi_label' else 'one'} of {', '.join(d.classes)}",
            "scores": f"{scores} ({d.split})" if scores else "none",
            "data": f"{d.dataset}; {d.licence}",
            "commit": d.commit,
        }
        return "\n".join([str(self.path), *(f"  {k:<7} {v}" for k, v in lines.items())])


def reason(error: Exception) -> str:
    """The message of onnxruntime, without error codes and source locations."""
    line = (str(error).strip() or repr(error)).splitlines()[0]
    text = line.rpartition(" : ")[2].rpartition("failed:")[2].rpartition("Status Message: ")[2]
    return re.sub(r"^/\S+:\d+ .*?\) ", "", text).strip()
