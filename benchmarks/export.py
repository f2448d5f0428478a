"""Speed and accuracy of exported models: ONNX float32 and int8, and PyTorch eager, on one core.

    python -m benchmarks.export

Each of the STUDENTS has its published settings: its bands, 8 tags, clips of 10 s at 16 kHz with a
hop of 10 ms. All contenders process the same waveform, including the front end, and alternate.
PyTorch runs in inference mode with the default memory layout; `channels_last_ms` is that of the
other layout. For `score_lost` each model is first trained briefly on synthesised tags in clips of
1 s; int8 is calibrated on some of the training clips, and both are evaluated by micro AUPRC on
test clips. Two processes train and export the models; then one measures them.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import Any, Literal, NamedTuple

import numpy as np
import onnx
import torch
from safetensors.torch import load, save

from benchmarks.measure import command_line, keep_cores, report, rounded
from config import Mel
from data.features.front_end import FrontEnd
from deploy import onnx_file
from deploy.export import onnx_models
from deploy.full_model import FullModel
from deploy.measured_cost import milliseconds, one_core
from deploy.verification import probabilities
from losses import LOSSES
from metrics import evaluate
from models import MODELS
from models.stored import Description

STUDENTS = ["cnn_lstm", "cp_mobile", "cp_resnet", "dcase_net", "dcase_small", "mel_resnet", "mn"]
STUDENTS += ["mobilenetv2", "raw_resnet", "yamnet"]
RATE, SECONDS, TAGS = 16_000, 10.0, 8
TRAINING_CLIPS, TEST_CLIPS = 320, 240  # clips of 1 s
BATCH, CALIBRATION = 16, 64


@dataclass(frozen=True)
class Settings:
    bands: int = 64
    options: dict[str, Any] = field(default_factory=dict)
    epochs: int = 8
    learning_rate: float = 3e-3
    front_end: Literal["mel", "waveform"] = "mel"
    repeats: int = 1  # of a clip, for a model that requires longer ones


PUBLISHED = {  # other models have the default settings
    "ast": Settings(128, {"size": "tiny"}, epochs=3, learning_rate=3e-4),
    "cnn_lstm": Settings(20, epochs=4),
    "dcase_net": Settings(64, epochs=3, learning_rate=3e-4),
    "dcase_small": Settings(20, epochs=15),
    "efficientnet": Settings(128, epochs=3),
    "mel_resnet": Settings(64, epochs=3),
    "mn": Settings(epochs=16),  # a step changes the running statistics by 1 % only
    "mobilenetv2": Settings(20, {"width_mult": 0.0005}),
    "raw_resnet": Settings(epochs=6, front_end="waveform", repeats=2),
}


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=STUDENTS)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    keep_cores(2)
    context = get_context("spawn")
    with ProcessPoolExecutor(2, context, torch.set_num_threads, (1,)) as pool:
        students = list(pool.map(exported, arguments.models))
    found = [figures(student, arguments.rounds) for student in students]
    shares = [row["int8_bytes"] / row["float32_bytes"] for row in found]
    summary = {
        "median_speedup": statistics.median(row["speedup"] for row in found),
        "least_speedup": min(row["speedup"] for row in found),
        "largest_int8_share": max(shares),
        "largest_score_lost": max(row["score_lost"] for row in found),
    }
    models = [{key: rounded(value) for key, value in row.items()} for row in found]
    rows = [list(row.values()) for row in found]
    report("export", arguments, list(found[0]), rows, summary | {"models": models}, found)


def synthesised(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips of 1 s, (N, 1, S), and their tags (N, K): a tone of one pitch per tag, and noise."""
    generator = np.random.default_rng(0)
    seconds = np.arange(RATE) / RATE
    tags = generator.random((count, TAGS)) < 0.3
    pitch = 200 * 1.6 ** np.arange(TAGS)[:, None]  # Hz
    sounds = np.empty((count, 1, RATE), np.float32)
    for sound, active in zip(sounds, tags, strict=True):
        level = active * 0.1 ** generator.uniform(0.2, 1.0, TAGS)
        detuned = pitch * generator.uniform(0.97, 1.03, (TAGS, 1))
        tones = np.sin(2 * np.pi * detuned * seconds)
        sound[:] = level @ tones + 0.1 * generator.standard_normal(RATE)
    return torch.from_numpy(sounds), torch.from_numpy(tags.astype(np.float32))


class Exported(NamedTuple):
    """A trained model, as safetensors, its ONNX files by precision, and their scores."""

    name: str
    described: Description
    weights: bytes
    files: dict[str, onnx.ModelProto]
    score: dict[str, float]


def exported(name: str) -> Exported:
    settings = PUBLISHED.get(name, Settings())
    mel = Mel(front_end=settings.front_end, sample_rate=RATE, num_bands=settings.bands)
    sounds, tags = synthesised(TRAINING_CLIPS + TEST_CLIPS)
    sounds = sounds.repeat(1, 1, settings.repeats)
    front_end = FrontEnd(mel)
    with torch.inference_mode():
        features = torch.cat([front_end(part) for part in sounds.split(BATCH)])
    mean, std = features[:TRAINING_CLIPS].mean(), features[:TRAINING_CLIPS].std()
    features = ((features - mean) / std).clone()
    described = Description(
        model=name,
        options=settings.options,
        input_shape=front_end.shape(round(SECONDS * RATE)),
        task="multi_label",
        classes=tuple(f"tag {k}" for k in range(TAGS)),
        clip_seconds=SECONDS,
        front_end=mel,
        mean=(mean.item(),),
        std=(std.item(),),
    )
    model = trained(described, settings, features[:TRAINING_CLIPS], tags[:TRAINING_CLIPS])
    calibration = list(features[:CALIBRATION].numpy()[:, None])
    files, _ = onnx_models(model, described, ("float32", "int8"), calibration)
    score = {
        kind: micro_auprc(onnx_file.session(found), sounds[TRAINING_CLIPS:], tags[TRAINING_CLIPS:])
        for kind, found in files.items()
    }
    return Exported(name, described, save(model.state_dict()), files, score)


def figures(student: Exported, rounds: int) -> dict[str, Any]:
    model = student.described.build().eval()
    model.load_state_dict(load(student.weights))
    sessions = {kind: onnx_file.session(file) for kind, file in student.files.items()}
    taken = clip_milliseconds(FullModel(model, student.described), sessions, rounds)
    return {
        "model": student.name,
        "eager_ms": taken["eager"],
        "channels_last_ms": taken["channels_last"],
        "float32_ms": taken["float32"],
        "int8_ms": taken["int8"],
        "speedup": taken["eager"] / min(taken["float32"], taken["int8"]),
        "float32_bytes": student.files["float32"].ByteSize(),
        "int8_bytes": student.files["int8"].ByteSize(),
        "score": student.score["float32"],
        "score_lost": student.score["float32"] - student.score["int8"],
    }


def trained(
    described: Description, settings: Settings, features: torch.Tensor, tags: torch.Tensor
) -> torch.nn.Module:
    torch.manual_seed(0)
    model = described.build().train()
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    loss = LOSSES["bce"]()
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(features)).split(BATCH):
            optimiser.zero_grad()
            loss(model(features[rows]).logits, tags[rows]).backward()
            optimiser.step()
    return model.eval()


def micro_auprc(student: Any, sounds: torch.Tensor, tags: torch.Tensor) -> float:
    logits = [onnx_file.logits(student, part.numpy()) for part in sounds.split(BATCH)]
    names = [f"tag {k}" for k in range(TAGS)]
    predicted = probabilities(np.concatenate(logits), "multi_label")
    return evaluate(predicted, tags.numpy(), names, "multi_label")["micro_auprc"]


def clip_milliseconds(
    full_model: FullModel, students: dict[str, Any], rounds: int
) -> dict[str, float]:
    """Time of one clip of SECONDS, the same for all, on one core."""
    generator = torch.Generator().manual_seed(0)
    clip = 0.1 * torch.randn(1, 1, round(SECONDS * RATE), generator=generator)
    other = copy.deepcopy(full_model).to(memory_format=torch.channels_last)
    contenders: dict[str, Callable[[], object]] = {
        "eager": lambda: full_model(clip),
        "channels_last": lambda: other(clip),
    }
    for name, student in students.items():
        contenders[name] = partial(student.run, ["probabilities"], {"waveform": clip.numpy()})
    with one_core(), torch.inference_mode():
        return milliseconds(contenders, rounds)


if __name__ == "__main__":
    main()
