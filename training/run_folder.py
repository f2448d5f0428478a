"""The files of a run, and how a training is resumed after an interruption.

runs/<NAME>/config.ini
runs/<NAME>/teacher/ | student/<variant>/    then seed_<s>/fold_<f>/ under each, a TrainingFolder
runs/<NAME>/results.csv                      one row per figure, gathered from all metrics.json

Of several processes only rank 0 writes; all read, so runs/ must be on a disk that they share.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import save
from torch import Tensor

from config import Config, UserError
from data.atomic_write import DISK_FULL, clear, write
from data.checksums import (
    Damaged,
    check_files,
    read_finished,
    read_record,
    sha256_of_bytes,
    unsealed,
    write_record,
    write_sealed,
)
from models.tensor_file import load_tensors
from training.distributed import barrier, rank
from training.role import Role

RUNS = Path("runs")
METRICS, WEIGHTS = "metrics.json", "weights.safetensors"
HISTORY, PREDICTIONS = "history.csv", "predictions.csv"
AGAIN = "to train it again, or start with --overwrite"
COLUMNS = (
    "role",
    "variant",
    "model",
    "dataset",
    "seed",
    "fold",
    "split",
    "metric",
    "value",
    "parameters",
    "macs",
    "weight_bytes",
    "epochs",
    "seconds",
    "epoch_chosen_on",
)


def write_once(path: Path, content: bytes | str) -> None:
    """By rank 0."""
    if rank() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, content)


def write_finished(folder: Path, files: Mapping[str, bytes], metrics: Mapping[str, Any]) -> None:
    """The files of a training or an ensemble, then metrics.json with their checksums. By rank 0."""
    if rank() > 0:
        return
    for name, content in files.items():
        write_once(folder / name, content)
    checksums = {name: sha256_of_bytes(content) for name, content in files.items()}
    write_record(folder / METRICS, metrics, checksums)


@dataclass(frozen=True, slots=True)
class TrainingFolder:
    """One training: weights.safetensors, history.csv, predictions.csv and metrics.json.

    metrics.json is written last, with the checksums of the others: a training that has it is
    finished. Until then there is checkpoint.pt. `settings` is all that the result depends on, flat,
    as text.
    """

    path: Path
    settings: Mapping[str, str]

    def finished(self) -> dict[str, Any] | None:
        """The metrics of a finished training; None for one to start or to resume.

        Raises UserError where the folder holds a training with other settings, and Damaged that
        names a file which is missing or has another content than was written.
        """
        metrics, remedy = self.path / METRICS, f"remove {self.path} {AGAIN}"
        if not metrics.exists():
            return None
        found = read_record(metrics, remedy)
        self._compare(found["settings"])
        check_files(self.path, found["files"], remedy)
        return found

    def read_checkpoint(self) -> dict[str, Any] | None:
        """Raises as `finished` does."""
        path = self.path / "checkpoint.pt"
        if not path.exists():
            return None
        if (content := unsealed(path.read_bytes())) is None:
            raise Damaged(f"{path}: changed or damaged, its checksum is wrong; remove it {AGAIN}")
        try:
            saved = load_tensors(path, "a checkpoint", io.BytesIO(content))
        except UserError as error:
            raise Damaged(f"{error}; remove it {AGAIN}") from None
        if not isinstance(saved, dict) or not isinstance(saved.get("settings"), dict):
            raise Damaged(f"{path}: no checkpoint of a training; remove it {AGAIN}")
        self._compare(saved.pop("settings"))
        return saved

    def check(self) -> None:
        """Raises where the training can be neither used nor resumed, as the other methods do."""
        if self.finished() is None:
            self.read_checkpoint()

    def write_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Raises UserError where the disk is full."""
        if rank() > 0:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        path, content = self.path / "checkpoint.pt", io.BytesIO()
        torch.save({**state, "settings": dict(self.settings)}, content)  # it would hide the errno
        try:
            write_sealed(path, content.getbuffer())
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            raise UserError(
                f"{path}: {error.strerror}; free some space and start again: the training resumes "
                "after the last epoch that was saved"
            ) from error

    def finish(
        self,
        weights: Mapping[str, Tensor],
        header: Mapping[str, str],
        history: pd.DataFrame,
        predictions: pd.DataFrame,
        metrics: Mapping[str, Any],
    ) -> None:
        """`header`: that of the weights, with all that is needed to rebuild the model."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        files = {
            WEIGHTS: save(tensors, dict(header)),
            HISTORY: history.to_csv(index=False).encode(),
            PREDICTIONS: predictions.to_csv(index=False).encode(),
        }
        write_finished(self.path, files, {**metrics, "settings": dict(self.settings)})
        if rank() == 0:
            (self.path / "checkpoint.pt").unlink(missing_ok=True)
            clear(self.path)
        barrier()  # the other processes go on to read these files

    def remove(self) -> None:
        if rank() == 0 and self.path.exists():
            shutil.rmtree(self.path)
        barrier()

    def _compare(self, found: Mapping[str, str]) -> None:
        if changed := differences(found, self.settings):
            raise UserError(
                f"{self.path} was trained with other settings ({changed}). "
                "Give this run another name ([run] NAME, or --set run.name=…) or start with "
                "--overwrite"
            )


def read_training(folder: Path) -> dict[str, Any]:
    """The metrics of a finished training. Raises Damaged, also for an entry that they lack."""
    return read_record(folder / METRICS, f"remove {folder} {AGAIN}")


def differences(found: Mapping[str, str], settings: Mapping[str, str]) -> str:
    """`student.epochs: 20 -> 40; ...` of all settings that differ; checksums are shortened."""
    return "; ".join(
        f"{key}: {shortened(found.get(key, 'unset'))} -> {shortened(settings.get(key, 'unset'))}"
        for key in sorted({*found, *settings})
        if found.get(key) != settings.get(key)
    )


def shortened(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{64}\b", lambda checksum: f"{checksum[0][:8]}…", text)


def role_folder(config: Config, role: str) -> Path:
    """Of a role or an ensemble. Teachers and specialists are those of TEACHER_RUN, if it is set."""
    is_teacher = role.partition("@")[0] in config.teachers()
    return RUNS / (config.run.of_teachers if is_teacher else config.run.name) / role


def training_path(config: Config, role: Role | str, variant: str, seed: int, fold: int) -> Path:
    """Only students have a folder for each variant: a teacher is trained on labels alone."""
    top = role_folder(config, str(role))
    if str(role).startswith("student"):
        top = top / variant
    return top / f"seed_{seed}" / f"fold_{fold}"


def teacher_weights_file(config: Config, role: Role, seed: int, fold: int) -> Path:
    """Of a finished teacher or specialist, with its history.csv and predictions.csv beside it.

    Raises UserError where it is not finished, Damaged where one of its files is.
    """
    path = training_path(config, role, "", seed, fold) / WEIGHTS
    if not path.with_name(METRICS).exists():
        raise UserError(f"{path} is not there: run train_teacher.py first")
    read_finished(path.with_name(METRICS), f"remove {path.parent} and run train_teacher.py again")
    return path


def find_training(path: Path, seed: int, fold: int) -> Path:
    """The folder of this seed and fold below a role or variant; else the only one of this seed;
    else the only one. Raises UserError.
    """
    nearest = (f"seed_{seed}/fold_{fold}", f"seed_{seed}/fold_*", "seed_*/fold_*")
    found = next(filter(None, (sorted(path.glob(one)) for one in nearest)), [])
    if len(found) != 1:
        raise UserError(f"{path}: {len(found)} trainings, none of seed {seed} and fold {fold}")
    return found[0]


def write_config(config: Config) -> None:
    """The resolved settings, with the versions and the commit of this program."""
    names = ("torch", "torchaudio", "numpy")
    versions = [f"# {name} {metadata.version(name)}" for name in names]
    found = commit()
    header = [f"# commit {found}"] if found else []
    text = "\n".join([*header, *versions, "", config.to_ini()])
    write_once(RUNS / config.run.name / "config.ini", text)


def commit() -> str:
    """The commit of this program; empty where it is no git checkout."""
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent
    ).stdout.strip()


def write_results(run: str) -> pd.DataFrame:
    """Gather every finished training of a run into results.csv: one row per figure."""
    rows = []
    for path in sorted((RUNS / run).glob("**/metrics.json")):
        found = read_record(path, f"remove {path.parent} {AGAIN}")
        common = {name: found[name] for name in COLUMNS if name in found}
        rows += [{**common, "metric": name, "value": v} for name, v in found["figures"].items()]
    results = pd.DataFrame(rows, columns=COLUMNS)
    write_once(RUNS / run / "results.csv", results.to_csv(index=False))
    return results
