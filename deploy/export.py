"""Export of a trained model: its files, compared with PyTorch on the test set, and their cost."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from config import UserError
from data.atomic_write import write
from data.tables.clips import ClipTable
from data.tables.splits import units_of
from deploy import litert_file, onnx_file, quantise
from deploy.executorch_file import executorch_logits, executorch_program
from deploy.full_model import FullModel
from deploy.measured_cost import (
    cost_table,
    milliseconds,
    one_core,
    peak_activation_bytes,
    weight_bytes,
)
from deploy.model_card import model_card
from deploy.model_graph import OPSET, ModelGraph, model_graph
from deploy.verification import EAGER, all_logits, noise, probabilities, recordings
from metrics import METRICS, bootstrap, evaluate
from models.cost import Cost, cost
from models.quantised import check_kernels
from models.stored import Description

if TYPE_CHECKING:
    import onnx
    import onnxruntime

TOLERANCE = 1e-4  # of the float32 logits, relative to the largest of PyTorch or to 1
ROUNDS = 9  # of the timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained model, its test clips, and the clips that calibrate int8."""

    name: str  # for display
    model: nn.Module
    described: Description
    dataset: str
    licence: str  # of the data set
    commit: str  # of this program
    table: ClipTable  # of the test set
    split: str  # name of the test set
    metric: str  # name in metrics.METRICS: the main one of the data set
    calibration: Sequence[np.ndarray]  # training clips, (B, *input_shape) each
    quantised: nn.Module | None = None  # the student trained in int8, if there is one
    thresholds: tuple[float, ...] | None = None  # of the tags, from validation clips

    @property
    def samples(self) -> int:
        return round(self.described.clip_seconds * self.described.front_end.sample_rate)

    @property
    def has_recordings(self) -> bool:
        return any(Path(path).is_file() for path in self.table.columns["path"])

    def clips(self) -> Iterable[np.ndarray]:
        """Batches of waveforms (B, C, S): the test set, or noise if its recordings are missing."""
        settings, seconds = self.described.front_end, self.described.clip_seconds
        if self.has_recordings:
            return recordings(self.table, settings, seconds)
        return [noise(settings, seconds)]


def onnx_models(
    model: nn.Module,
    described: Description,
    precisions: Sequence[str],
    calibration: Sequence[np.ndarray],
    quantised: nn.Module | None = None,
) -> tuple[dict[str, onnx.ModelProto], bool]:
    """An ONNX model per precision, and whether they take clips of any length. Raises UserError.

    int8 is exported from `quantised` if given, and calibrated otherwise.
    """
    if "int8" in precisions:
        check_kernels(model)
    float_graph = cache(lambda: model_graph(model, described.input_shape))

    def graph(precision: str) -> ModelGraph:
        if precision == "int8" and quantised is not None:
            trained = model_graph(quantise.for_onnx(quantised), described.input_shape)
            quantise.quantise_before_pads(trained.model)
            return trained
        found = float_graph()
        if precision == "float16":
            return found._replace(model=quantise.float16(found.model))
        if precision == "int8":
            return found._replace(model=quantise.int8(found.model, calibration))
        return found

    graphs = {precision: graph(precision) for precision in precisions}
    any_length = all(found.any_length for found in graphs.values())
    models = {
        precision: onnx_file.assembled(found.model, described, any_length)
        for precision, found in graphs.items()
    }
    return models, any_length


def export_onnx(trained: Trained, precisions: Sequence[str], folder: Path) -> None:
    """Write <precision>.onnx, budget.json and MODEL_CARD.md into `folder`, and print the budget.

    Raises UserError, and writes nothing, if float32 differs from PyTorch by more than TOLERANCE.
    """
    described = trained.described
    models, any_length = onnx_models(
        trained.model, described, precisions, trained.calibration, trained.quantised
    )
    full_model = FullModel(trained.model, described)
    students = {name: onnx_file.session(model) for name, model in models.items()}
    runs = {name: partial(onnx_file.logits, student) for name, student in students.items()}
    logits = all_logits(full_model, runs, trained.clips())
    if "float32" in models:
        check_float32(logits["float32"], logits[EAGER])
    scores = {name: scores_of(trained, values) for name, values in logits.items()}
    costs = cost(trained.model, described.input_shape)
    shape = (described.front_end.channels, trained.samples)
    least = onnx_file.least_samples(list(students.values()), shape) if any_length else shape[1]
    about = metadata(trained, costs, any_length, least) | {"opset": OPSET}
    for name, model in models.items():
        onnx_file.describe(model, about | {"precision": name, "scores": scores[name]})
        onnx_file.write(folder / f"{name}.onnx", model)
    clip = noise(described.front_end, described.clip_seconds)[:1]
    times = clip_milliseconds(full_model, students, clip)
    rows: list[dict[str, Any]] = [{"precision": EAGER, "weight_bytes": costs.weight_bytes}]
    rows += [
        {
            "precision": name,
            "file_bytes": (folder / f"{name}.onnx").stat().st_size,
            "weight_bytes": weight_bytes(model),
            "peak_activation_bytes": peak_activation_bytes(model, clip),
            "largest_logit_difference": largest_difference(logits[name], logits[EAGER]),
        }
        for name, model in models.items()
    ]
    for row in rows:
        name = row["precision"]
        row |= speed(times[name], times[EAGER], described.clip_seconds)
        row |= score_and_drop(trained.metric, scores[name], scores[EAGER])
    evaluated = {"metric": trained.metric, "clips": len(trained.table) if scores[EAGER] else 0}
    write(folder / "budget.json", json.dumps(about | evaluated | {"budget": rows}, indent=1))
    print(cost_table(about | evaluated, rows))
    remarks = notes(trained)
    if trained.quantised is not None and "int8" in models:
        remarks.append(agreement(trained, trained.quantised, logits["int8"]))
    found, sampled = score_intervals(trained, logits) if evaluated["clips"] else ({}, "")
    about |= {"sampled": sampled, "mean": described.mean, "std": described.std}
    card = model_card(about | evaluated, rows, found, remarks)
    write(folder / "MODEL_CARD.md", card)
    files = [*(f"{name}.onnx" for name in models), "MODEL_CARD.md"]
    print("\n".join(["", *remarks, *(str(folder / name) for name in files)]))


def export_executorch(trained: Trained, folder: Path) -> None:
    """Write float32.pte into `folder`. Raises UserError if it differs from PyTorch."""
    full_model = FullModel(trained.model, trained.described)
    program = executorch_program(full_model, trained.samples)
    clip = next(iter(trained.clips()))[:1]
    with torch.inference_mode():
        expected = full_model(torch.from_numpy(clip)).logits.numpy()
    check_float32(executorch_logits(program, torch.from_numpy(clip)).numpy(), expected)
    write(folder / "float32.pte", program)
    print(
        f"{folder / 'float32.pte'}: {len(program):,} bytes; its logits equal PyTorch's on one clip"
    )


def export_tflite(trained: Trained, precisions: Sequence[str], folder: Path) -> None:
    """Write <precision>.tflite into `folder`, and print sizes and scores.

    Raises UserError, and writes nothing, if float32 differs from PyTorch by more than TOLERANCE.
    """
    described = trained.described
    models = litert_file.litert_files(
        trained.model, described, precisions, trained.calibration, trained.quantised
    )
    full_model = FullModel(trained.model, described)
    runs = {
        name: after_front_end(full_model, litert_file.LitertModel(model))
        for name, model in models.items()
    }
    logits = all_logits(full_model, runs, trained.clips())
    if "float32" in models:
        check_float32(logits["float32"], logits[EAGER])
    scores = {name: scores_of(trained, values) for name, values in logits.items()}
    costs = cost(trained.model, described.input_shape)
    about = metadata(trained, costs, any_length=False, least_samples=trained.samples)
    about |= {"input_shape": described.input_shape, "mean": described.mean, "std": described.std}
    rows: list[dict[str, Any]] = [{"precision": EAGER}]
    remarks = notes(trained)
    for name, model in models.items():
        content = litert_file.with_description(
            model, about | {"precision": name, "scores": scores[name]}
        )
        write(folder / f"{name}.tflite", content)
        difference = largest_difference(logits[name], logits[EAGER])
        rows.append(
            {
                "precision": name,
                "file_bytes": len(content),
                "largest_logit_difference": difference,
            }
        )
        floats = litert_file.float_operators(model)
        if name == "int8" and floats:
            remarks.append(f"int8.tflite: operators in float32: {', '.join(floats)}.")
    for row in rows:
        row |= score_and_drop(trained.metric, scores[row["precision"]], scores[EAGER])
    evaluated = {"metric": trained.metric, "clips": len(trained.table) if scores[EAGER] else 0}
    print(cost_table(about | evaluated, rows))
    print("\n".join(["", *remarks, *(str(folder / f"{name}.tflite") for name in models)]))


def after_front_end(
    full_model: FullModel, student: litert_file.LitertModel
) -> Callable[[np.ndarray], np.ndarray]:
    """Waveforms (B, C, S) -> the logits (B, K) of a student that reads log-mels."""

    def logits(waveforms: np.ndarray) -> np.ndarray:
        return student(full_model.features(torch.from_numpy(waveforms)).numpy())["logits"]

    return logits


def check_float32(found: np.ndarray, expected: np.ndarray) -> None:
    difference = largest_difference(found, expected)
    most = TOLERANCE * max(1, np.abs(expected).max())
    if not difference <= most:  # NaN, too
        raise UserError(
            f"the exported model differs from PyTorch: a logit by {difference:.2g}, more than "
            f"{most:.2g}; nothing was written"
        )


def largest_difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max())


def agreement(trained: Trained, quantised: nn.Module, found: np.ndarray) -> str:
    """The difference between the int8 file and the model that was trained in int8."""
    full_model = FullModel(quantised, trained.described)
    expected = all_logits(full_model, {}, trained.clips())[EAGER]
    difference, step = largest_difference(found, expected), np.ptp(expected) / 255
    return (
        f"int8 compared with the student trained in int8: largest logit difference "
        f"{difference:.1g}; 1/255 of the range of logits is {step:.1g}."
    )


def scores_of(trained: Trained, logits: np.ndarray) -> dict[str, float]:
    """The defined metrics on the test set; empty if its recordings or labels are missing."""
    if not trained.has_recordings or not trained.table.labelled.all():
        return {}
    described = trained.described
    found = evaluate(
        probabilities(logits, described.task),
        trained.table.targets[:],
        described.classes,
        described.task,
    )
    return {name: value for name, value in found.items() if math.isfinite(value)}


def score_intervals(
    trained: Trained, logits: Mapping[str, np.ndarray]
) -> tuple[dict[str, bootstrap.Interval], str]:
    """Of the main metric, by precision, and what was sampled, clips or groups of clips.

    Empty where resampling would take too long, and where all clips are of one group.
    """
    described, targets = trained.described, trained.table.targets[:]
    groups = units_of(trained.table)
    systems = [
        [bootstrap.Evaluated(0, probabilities(values, described.task), targets, groups)]
        for values in logits.values()
    ]
    if bootstrap.work(systems) > bootstrap.MAX_WORK or bootstrap.one_group(systems):
        return {}, ""
    metric = METRICS[trained.metric].function
    found = bootstrap.intervals(systems, lambda p, t: metric(p, t, described.classes))
    grouped = bootstrap.sampled(systems) == "groups"
    return dict(zip(logits, found, strict=True)), "groups of clips" if grouped else "clips"


def score_and_drop(
    metric: str, scores: Mapping[str, float], eager: Mapping[str, float]
) -> dict[str, float]:
    """The main metric, and its drop from PyTorch's; empty where it is undefined."""
    if metric not in scores or metric not in eager:
        return {}
    drop = eager[metric] - scores[metric]
    return {
        "score": scores[metric],
        "score_lost": drop if METRICS[metric].higher_is_better else -drop,
    }


def speed(student: float, eager: float, clip_seconds: float) -> dict[str, float]:
    """From milliseconds per clip."""
    return {
        "milliseconds": student,
        "real_time_factor": student / 1e3 / clip_seconds,
        "times_eager": eager / student,
    }


def metadata(trained: Trained, costs: Cost, any_length: bool, least_samples: int) -> dict[str, Any]:
    """The metadata that all precisions share: all but the precision and the scores."""
    described = trained.described
    return {
        "name": trained.name,
        "model": described.model,
        "task": described.task,
        "classes": described.classes,
        "sample_rate": described.front_end.sample_rate,
        "channels": described.front_end.channels,
        "clip_seconds": described.clip_seconds,
        "samples": trained.samples,
        "any_length": any_length,
        "least_samples": least_samples,
        "front_end": asdict(described.front_end),
        "hop_seconds": described.front_end.stft_hop_length_seconds,
        "dataset": trained.dataset,
        "licence": trained.licence,
        "commit": trained.commit,
        "parameters": costs.parameters,
        "macs": costs.macs,
        "split": trained.split,
        "thresholds": trained.thresholds,
    }


def clip_milliseconds(
    full_model: FullModel, students: Mapping[str, onnxruntime.InferenceSession], clip: np.ndarray
) -> dict[str, float]:
    """Time of one clip, (1, C, S), from waveform to probabilities, on one core."""
    tensor = torch.from_numpy(clip)

    def run(student: onnxruntime.InferenceSession) -> Callable[[], object]:
        return lambda: student.run(["probabilities"], {"waveform": clip})

    with one_core(), torch.inference_mode():
        contenders = {name: run(student) for name, student in students.items()}
        return milliseconds({EAGER: lambda: full_model(tensor), **contenders}, ROUNDS)


def notes(trained: Trained) -> list[str]:
    """Remarks below the budget."""
    found = []
    if not trained.has_recordings:
        found.append(
            f"The recordings of {trained.split} are missing: compared on noise, no score computed."
        )
    if trained.described.front_end.padding == "log_zero":
        found.append("PADDING = log_zero: the exported model treats padding as part of the clip.")
    if trained.described.task == "multi_label" and trained.thresholds is None:
        found.append("No labelled validation clips: thresholds are not calibrated, tags from 0.5.")
    return found
