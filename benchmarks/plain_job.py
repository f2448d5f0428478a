"""The plain script of `whole_job`: what a user would write for the same job without this project.

librosa clip by clip, a DataLoader over .npy files, and a teacher that runs in every step. Only the
networks are those of the project.

    python -m benchmarks.plain_job SOUNDS WEIGHTS EPOCHS
"""

import sys
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from models.cp_mobile import CpMobile
from models.yamnet import Yamnet

RATE = 16_000
FRONT_ENDS = {"teacher": (400, 160, 512), "student": (800, 400, 1024)}  # window, hop, FFT
MIXES = {"ce": (), "ce+kd": ("kd",), "ce+kd+sp": ("kd", "sp")}
TEMPERATURE = 2.0


def make_mels(sounds: Path, table: pd.DataFrame) -> None:
    for name in table["filename"]:
        samples, _ = librosa.load(sounds / name, sr=RATE)
        for role, (window, hop, fft) in FRONT_ENDS.items():
            mel = librosa.feature.melspectrogram(
                y=samples,
                sr=RATE,
                n_fft=fft,
                win_length=window,
                hop_length=hop,
                center=False,
                power=1.0,
                n_mels=64,
                fmin=125,
                fmax=7_500,
                htk=True,
                norm=None,
            )
            np.save(sounds / f"{name}.{role}.npy", np.log(mel + 0.001).T[None].astype(np.float32))


class Clips(Dataset[tuple[Tensor, Tensor, int]]):
    """Log-mels of teacher and student, each (1, T, F), and the class."""

    def __init__(self, sounds: Path, table: pd.DataFrame, classes: list[str]) -> None:
        self.paths = [sounds / name for name in table["filename"]]
        self.labels = [classes.index(name) for name in table["label"]]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor, int]:
        teacher, student = (
            torch.from_numpy(np.load(f"{self.paths[n]}.{r}.npy")) for r in FRONT_ENDS
        )
        return teacher, student, self.labels[n]


def train_classifier(teacher: Yamnet, loader: DataLoader, epochs: int) -> None:
    optimiser = torch.optim.AdamW(teacher.classifier.parameters(), lr=1e-3)
    for _ in range(epochs):
        for mels, _, labels in loader:
            with torch.no_grad():
                embedding = teacher(mels).embedding
            loss = F.cross_entropy(teacher.classifier(embedding), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def kd(student: Tensor, teacher: Tensor) -> Tensor:
    log_q = F.log_softmax(student / TEMPERATURE, dim=1)
    p = F.softmax(teacher / TEMPERATURE, dim=1)
    return F.kl_div(log_q, p, reduction="batchmean") * TEMPERATURE**2


def sp(student: Tensor, teacher: Tensor) -> Tensor:
    return F.mse_loss(similarities(student), similarities(teacher))


def similarities(maps: Tensor) -> Tensor:
    return F.normalize(maps.flatten(1) @ maps.flatten(1).T, dim=1)


def train_student(
    student: nn.Module, teacher: nn.Module, loader: DataLoader, mix: tuple[str, ...], epochs: int
) -> None:
    optimiser = torch.optim.AdamW(student.parameters(), lr=5e-3)
    for _ in range(epochs):
        student.train()
        for teacher_mels, mels, labels in loader:
            found = student(mels)
            loss = F.cross_entropy(found.logits, labels)
            if mix:
                with torch.no_grad():
                    target = teacher(teacher_mels)
                loss = loss + kd(found.logits, target.logits)
                if "sp" in mix:
                    loss = loss + 100 * sp(found.maps[-1], target.maps[-1])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


@torch.no_grad()
def accuracy(model: nn.Module, loader: DataLoader, place: int) -> float:
    model.eval()
    found = [(model(batch[place]).logits.argmax(1), batch[2]) for batch in loader]
    predicted, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
    return float(accuracy_score(labels, predicted))


def main() -> None:
    sounds, weights, epochs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    torch.manual_seed(0)
    table = pd.read_csv(sounds / "clips.csv")
    classes = sorted(set(table["label"]))
    make_mels(sounds, table)
    train, test = (
        DataLoader(
            Clips(sounds, table[table["split"] == split], classes),
            batch_size=32,
            shuffle=split == "train",
            num_workers=2,
        )
        for split in ("train", "test")
    )
    shapes = [tuple(batch.shape[1:]) for batch in next(iter(train))[:2]]
    teacher = Yamnet(num_classes=len(classes), input_shape=shapes[0], batch_norm=False)
    teacher.load_state_dict(load_file(weights))
    teacher.eval()
    train_classifier(teacher, train, epochs)
    scores = {"teacher": accuracy(teacher, test, 0)}
    for name, mix in MIXES.items():
        student = CpMobile(num_classes=len(classes), input_shape=shapes[1], base_channels=16)
        train_student(student, teacher, train, mix, epochs)
        scores[name] = accuracy(student, test, 1)
    print(pd.Series(scores, name="accuracy").to_frame())


if __name__ == "__main__":
    main()
