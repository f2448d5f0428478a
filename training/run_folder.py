"""The files of a run, and how a training is resumed after an interruption.

runs/<NAME>/config.ini
runs/<NAME>/teacher/ | student/<variant>/    then seed_<s>/fold_<f>/ under each, a TrainingFolder
runs/<NAME>/results.csv                      one row per figure, gathered from all metrics.json

Of several processes only rank 0 writes; all read, so runs/ must be on a disk that they share.
"""

from __future__ import annotations

import json
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
from data.atomic_write import atomic_write, clear, write
from training.distributed import barrier, rank
from training.role import Role

RUNS = Path("runs")
COLUMNS = (
    *("role", "variant", "model", "dataset", "seed", "fold", "split", "metric", "value"),
    *("parameters", "macs", "weight_bytes", "epochs", "seconds", "epoch_chosen_on"),
)


def write_once(path: Path, content: bytes | str) -> None:
    """By rank 0."""
    if rank() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, content)


@dataclass(frozen=True, slots=True)
class TrainingFolder:
    """One training: weights.safetensors, history.csv, predictions.csv and metrics.json.

    metrics.json is written last: a training that has it is finished. Until then there is
    checkpoint.pt. `settings` is all that the result depends on, flat, as text.
    """

    path: Path
    settings: Mapping[str, str]

    def finished(self) -> dict[str, Any] | None:
        """The metrics of a finished training; None for one to start or to resume.

        Raises UserError where the folder holds a training with other settings.
        """
        metrics = self.path / "metrics.json"
        if not metrics.exists():
            return None
        found = json.loads(metrics.read_text())
        self._compare(found["settings"])
        return found

    def read_checkpoint(self) -> dict[str, Any] | None:
        path = self.path / "checkpoint.pt"
        if not path.exists():
            return None
        saved = torch.load(path, map_location="cpu", weights_only=True)
        self._compare(saved.pop("settings"))
        return saved

    def write_checkpoint(self, state: Mapping[str, Any]) -> None:
        if rank() > 0:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path / "checkpoint.pt") as file:
            torch.save({**state, "settings": dict(self.settings)}, file)

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
        write_once(self.path / "weights.safetensors", save(tensors, dict(header)))
        write_once(self.path / "history.csv", history.to_csv(index=False))
        write_once(self.path / "predictions.csv", predictions.to_csv(index=False))
        record = {**metrics, "settings": dict(self.settings)}
        write_once(self.path / "metrics.json", json.dumps(record, indent=1))
        if rank() == 0:
            (self.path / "checkpoint.pt").unlink(missing_ok=True)
            clear(self.path)

    def remove(self) -> None:
        if rank() == 0 and self.path.exists():
            shutil.rmtree(self.path)
        barrier()

    def _compare(self, found: Mapping[str, str]) -> None:
        changed = [
            f"{key}: {found.get(key, 'unset')} -> {self.settings.get(key, 'unset')}"
            for key in sorted({*found, *self.settings})
            if found.get(key) != self.settings.get(key)
        ]
        if changed:
            raise UserError(
                f"{self.path} was trained with other settings ({'; '.join(changed)}). "
                "Give this run another name ([run] NAME, or --set run.name=…) or start with "
                "--overwrite"
            )


def training_path(config: Config, role: Role | str, variant: str, seed: int, fold: int) -> Path:
    """Only students have a folder for each variant: a teacher is trained on labels alone."""
    top = RUNS / config.run.name / str(role)
    if str(role).startswith("student"):
        top = top / variant
    return top / f"seed_{seed}" / f"fold_{fold}"


def teacher_weights_file(config: Config, role: Role, seed: int, fold: int) -> Path:
    """Of a finished teacher or specialist. Raises UserError where it is not finished."""
    path = training_path(config, role, "", seed, fold) / "weights.safetensors"
    if not path.exists():
        raise UserError(f"{path} is not there: run train_teacher.py first")
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
        found = json.loads(path.read_text())
        common = {name: found[name] for name in COLUMNS if name in found}
        rows += [{**common, "metric": name, "value": v} for name, v in found["figures"].items()]
    results = pd.DataFrame(rows, columns=COLUMNS)
    write_once(RUNS / run / "results.csv", results.to_csv(index=False))
    return results
