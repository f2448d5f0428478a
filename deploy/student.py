"""An exported student: an ONNX file from waveform to probabilities, written by export_student.py.

It runs without PyTorch: it requires onnxruntime and numpy only, and soundfile and soxr to read
recordings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from config import ConfigError, UserError
from data.features.decode import BadAudio, read_blocks, up_to_fault
from deploy.description import ENTRY, Description
from deploy.ensemble import window_and_hop
from deploy.hub import local_path
from deploy.tags import TagSelection
from deploy.windows import AudioSpec, windows

if TYPE_CHECKING:
    import pandas as pd


class Prediction(NamedTuple):
    probabilities: np.ndarray  # (K,)
    mel: np.ndarray | None  # (C, T, F), normalised; None for a model that reads the waveform
    embedding: np.ndarray | None  # (D,); None for files of older versions


class WindowPrediction(NamedTuple):
    start: float  # s
    end: float  # s
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Tags:
    """The N windows of a recording, with K classes and D dimensions of the embedding."""

    classes: tuple[str, ...]
    starts: np.ndarray  # (N,) s
    ends: np.ndarray  # (N,) s
    probabilities: np.ndarray  # (N, K)
    tags: list[list[str]]  # the most probable first
    embeddings: np.ndarray | None  # (N, D); None for files of older versions

    def table(self) -> pd.DataFrame:
        """One row per window: start, end and the probability of each class. Requires pandas."""
        import pandas as pd

        times = pd.DataFrame({"start": self.starts, "end": self.ends})
        return times.join(pd.DataFrame(self.probabilities, columns=list(self.classes)))


class Student:
    """An onnxruntime session on one core: tiny models are no faster on several.

    `path` may be hf://OWNER/NAME/FILE.onnx, as in `deploy.hub.local_path`, which has its errors.
    Raises UserError for a file that is missing, broken or not an exported student.
    """

    def __init__(self, path: Path | str) -> None:
        import onnxruntime

        self.path = path = local_path(path)
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

    @property
    def least_seconds(self) -> float:
        """The length of the shortest window."""
        return self.description.least_samples / self.description.sample_rate

    def predict(self, waveform: np.ndarray) -> Prediction:
        """Of one window, (C, S) float32. Raises UserError for a length that the model does not
        support, and for probabilities that are not finite.
        """
        seconds = waveform.shape[-1] / self.description.sample_rate
        if seconds < self.least_seconds:
            short = f"found a window of {seconds:g} s"
            raise UserError(f"{self.path}: {short}, expected at least {self.least_seconds:g} s")
        names = [name for name in ("probabilities", "mel", "embedding") if name in self.outputs]
        try:
            outputs = self.session.run(names, {"waveform": waveform[None]})
        except Exception as error:
            raise UserError(
                f"{self.path}: cannot process a window of {seconds:g} s ({reason(error)})"
            ) from None
        found = {name: output[0] for name, output in zip(names, outputs, strict=True)}
        probabilities = found["probabilities"]
        if not np.isfinite(probabilities).all():
            raise UserError(f"{self.path}: its probabilities are not finite: {probabilities}")
        return Prediction(probabilities, found.get("mel"), found.get("embedding"))

    def predict_blocks(
        self, blocks: Iterable[tuple[np.ndarray, int]], seconds: float, hop: float
    ) -> Iterator[WindowPrediction]:
        """The prediction of each window; `blocks` and times as in `deploy.windows.windows`."""
        for start, end, waveforms in windows(blocks, [self.audio_spec], seconds, hop):
            yield WindowPrediction(start, end, self.predict(waveforms[self.audio_spec]))

    def tag(
        self,
        recording: Path | str | np.ndarray,
        sample_rate: int | None = None,
        *,
        window: float | None = None,
        hop: float | None = None,
        threshold: float | None = None,
        top: int | None = None,
    ) -> Tags:
        """The tags of a file, or of samples (S,) or (C, S) in [-1, 1], window by window.

        `sample_rate` is that of the samples, by default the student's. `window` and `hop` are in
        seconds, by default the length of the training clips and one window. `threshold` and `top`
        as in `TagSelection.of`.

        Raises BadAudio for a recording that cannot be read, ConfigError for wrong arguments, and
        UserError as `predict`.
        """
        for name, value in (("sample_rate", sample_rate), ("window", window), ("hop", hop)):
            if value is not None and not value > 0:
                raise ConfigError(name, f"found {value}, expected a number above 0")
        selection = TagSelection.of([self.description], threshold, top)
        if isinstance(recording, np.ndarray):
            blocks = array_blocks(recording, sample_rate or self.audio_spec.sample_rate)
        elif sample_rate is None:
            blocks = read_blocks(Path(recording))
        else:
            raise ConfigError("sample_rate", f"describes samples, but {recording} is a file")
        found = list(self.predict_blocks(blocks, *window_and_hop([self], window, hop)))
        predictions = [prediction for _, _, prediction in found]
        embeddings = [p.embedding for p in predictions if p.embedding is not None]
        return Tags(
            classes=self.description.classes,
            starts=np.array([start for start, _, _ in found]),
            ends=np.array([end for _, end, _ in found]),
            probabilities=np.stack([p.probabilities for p in predictions]),
            tags=[[name for name, _ in selection.tags(p.probabilities)] for p in predictions],
            embeddings=np.stack(embeddings) if embeddings else None,
        )

    def about(self) -> str:
        """The description as readable text."""
        d = self.description
        shortest = f"from {self.least_seconds:g} s on"
        length = f"any length {shortest}" if d.any_length else "only this length"
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
            "tags": threshold_text(d),
            "data": f"{d.dataset}; {d.licence}",
            "commit": d.commit,
        }
        return "\n".join([str(self.path), *(f"  {k:<7} {v}" for k, v in lines.items())])


def threshold_text(description: Description) -> str:
    if description.task == "single_label":
        return "the most probable class"
    if description.thresholds is None:
        return "from 0.5, not calibrated"
    named = zip(description.classes, description.thresholds, strict=True)
    return "from " + ", ".join(f"{name} {p:.{decimals(p)}f}" for name, p in named)


def decimals(probability: float) -> int:
    """Two, and as many as show a probability near 0 or 1 as another number."""
    rest = min(probability, 1 - probability)
    return max(2, -math.floor(math.log10(rest))) if rest > 0 else 2


def array_blocks(samples: np.ndarray, sample_rate: int) -> Iterator[tuple[np.ndarray, int]]:
    """Samples (S,) or (C, S) as one block. Raises BadAudio if empty, (S, C) or not finite."""
    if samples.ndim not in (1, 2) or not samples.size or samples.dtype.kind != "f":
        found = f"found {samples.dtype} of shape {samples.shape}"
        raise BadAudio("samples", f"{found}, expected floating-point samples (S,) or (C, S)")
    channels, count = np.atleast_2d(samples).shape
    if channels > count:
        found = f"found {channels} channels of {count} samples"
        raise BadAudio("samples", f"{found}, expected (C, S): transpose what soundfile.read gives")
    block = np.atleast_2d(samples).T.astype(np.float32)
    yield from up_to_fault("samples", block, sample_rate, 0)


def reason(error: Exception) -> str:
    """The message of onnxruntime, without error codes and source locations."""
    line = (str(error).strip() or repr(error)).splitlines()[0]
    text = line.rpartition(" : ")[2].rpartition("failed:")[2].rpartition("Status Message: ")[2]
    return re.sub(r"^/\S+:\d+ .*?\) ", "", text).strip()
