"""An exported student: an ONNX file that hears a waveform. export_student.py writes it.

It runs where there is no PyTorch: onnxruntime and numpy are all that it wants.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from config import UserError

ENTRY = "soundstill"  # of the file's metadata
FORMAT = 1  # of that entry; this program reads it and what is older


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a student says of itself, in the metadata of its file."""

    name: str  # such as "config bce+kd+sp seed 0"
    model: str
    task: str  # "multi_label" or "single_label"
    classes: tuple[str, ...]
    sample_rate: int  # Hz
    channels: int
    clip_seconds: float  # s, what it was trained on
    any_length: bool  # else it hears clips of clip_seconds alone
    precision: str
    front_end: dict[str, Any]  # the fields of config.Mel
    hop_seconds: float  # s, of the mel frames
    dataset: str
    licence: str  # of the data
    commit: str
    parameters: int
    macs: int
    scores: dict[str, float | None]  # None: undefined
    split: str  # that the scores are of

    @classmethod
    def of(cls, text: str) -> Description:
        """Raises ValueError, which says what is wrong with the text."""
        try:
            found = json.loads(text)
            if found["format"] > FORMAT:
                newer = f"has format {found['format']}, known here is {FORMAT}; update Soundstill"
                raise ValueError(newer)
            known = {f.name: found[f.name] for f in fields(cls)}
            known["classes"] = tuple(known["classes"])
        except KeyError as error:
            raise ValueError(f"lacks {error}; export it again") from None
        except (json.JSONDecodeError, TypeError) as error:
            raise ValueError(f"cannot be understood ({error}); export it again") from None
        return cls(**known)


class Hearing(NamedTuple):
    """What a model takes as sound."""

    sample_rate: int  # Hz
    channels: int


class Heard(NamedTuple):
    probabilities: np.ndarray  # (K,)
    mel: np.ndarray | None  # (C, T, F), normalised; None of a model that takes the waveform itself


class Student:
    """A model on one core, which for tiny ones is as fast as several and leaves the others free.

    Raises UserError for a file that is missing, broken or not an exported student.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        self.path = path
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong comes as an exception
        try:
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's have no base of their own
            raise UserError(f"{path}: not readable as an ONNX model ({reason(error)})") from None
        self.description = self.read_description()
        self.outputs = [output.name for output in self.session.get_outputs()]
        if [entry.name for entry in self.session.get_inputs()] != ["waveform"] or (
            "probabilities" not in self.outputs
        ):
            raise UserError(f"{path}: does not take a waveform and give probabilities")

    def read_description(self) -> Description:
        text = self.session.get_modelmeta().custom_metadata_map.get(ENTRY)
        if text is None:
            raise UserError(
                f"{self.path}: nothing in it says what it hears; want a student that "
                "export_student.py wrote"
            )
        try:
            return Description.of(text)
        except ValueError as error:
            raise UserError(f"{self.path}: its description {error}") from None

    @property
    def hearing(self) -> Hearing:
        return Hearing(self.description.sample_rate, self.description.channels)

    def hear(self, waveform: np.ndarray) -> Heard:
        """Of one window, (C, S) float32. Raises UserError where the model cannot take its length,
        or where its numbers overflow.
        """
        wanted = [name for name in ("probabilities", "mel") if name in self.outputs]
        try:
            found = self.session.run(wanted, {"waveform": waveform[None]})
        except Exception as error:
            seconds = waveform.shape[-1] / self.description.sample_rate
            raise UserError(
                f"{self.path}: cannot hear a window of {seconds:g} s ({reason(error)})"
            ) from None
        probabilities, mel = found[0][0], found[1][0] if len(found) > 1 else None
        if not np.isfinite(probabilities).all():
            raise UserError(f"{self.path}: says what is no probability: {probabilities}")
        return Heard(probabilities, mel)

    def about(self) -> str:
        """The description, for people."""
        d = self.description
        length = "any length" if d.any_length else "that length alone"
        channels = "mono" if d.channels == 1 else f"{d.channels} channels"
        scores = ", ".join(f"{k} {v:.4f}" for k, v in d.scores.items() if v is not None)
        bands = f"{d.front_end['num_bands']} mel bands every {d.hop_seconds:g} s"
        lines = {
            "name": d.name,
            "model": f"{d.model}, {d.precision}, {self.path.stat().st_size:,} bytes",
            "cost": f"{d.parameters:,} parameters, {d.macs:,} MACs a clip",
            "hears": f"{d.clip_seconds:g} s ({length}) at {d.sample_rate} Hz, {channels}; "
            + (bands if "mel" in self.outputs else "the waveform itself"),
            "says": f"{'any' if d.task == 'multi_label' else 'one'} of {', '.join(d.classes)}",
            "scores": f"{scores} ({d.split})",
            "data": f"{d.dataset}; {d.licence}",
            "commit": d.commit,
        }
        return "\n".join([str(self.path), *(f"  {k:<7} {v}" for k, v in lines.items())])


def reason(error: Exception) -> str:
    """What onnxruntime says, without its numbers and the places in its source."""
    line = (str(error).strip() or repr(error)).splitlines()[0]
    said = line.rpartition(" : ")[2].rpartition("failed:")[2].rpartition("Status Message: ")[2]
    return re.sub(r"^/\S+:\d+ .*?\) ", "", said).strip()
