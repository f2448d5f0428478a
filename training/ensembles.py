"""Systems that are the mean of others: what each said of the reported clips, averaged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from config import Config, UserError
from training.distributed import rank
from training.experiment import Experiment
from training.run_folder import RUNS
from training.systems import write_mean

SEEDS = "@seeds"  # teacher@seeds: the mean over all seeds of the run
SURE = 1e-12  # a probability is at least this far from 0 and 1 where logits are averaged


def combine(experiment: Experiment, seed: int, fold: int, students_too: bool = False) -> None:
    """Write every ensemble of this seed and fold beside its members, as if it had been trained.

    Without `students_too` those that hold students of this run are left for later.
    Raises UserError where a member is not there, or not of the same clips and classes.
    """
    if rank() > 0:
        return
    config = experiment.config
    student = f"{RUNS / config.run.name}/student"
    for name, members in ensembles(config).items():
        if not students_too and any(str(path).startswith(student) for path in members):
            continue
        if not over_seeds(members):
            write_ensemble(experiment, name, members, (seed,), fold)
        elif seed == config.run.seeds[-1]:
            write_ensemble(experiment, name, members, config.run.seeds, fold)


def over_seeds(members: Iterable[Path]) -> bool:
    return any(path.name.endswith(SEEDS) for path in members)


def ensembles(config: Config) -> dict[str, dict[Path, float]]:
    """Name -> the folder of each member, above its seeds -> its weight.

    Those of [ensembles], and `ensemble`, of the teacher and its specialists where there are any.
    """
    found = config.ensembles.members()
    if config.specialists.pairs:
        found.setdefault("ensemble", dict.fromkeys(config.teachers(), 1.0))
    run = RUNS / config.run.name
    return {
        name: {
            Path(member) if member.startswith(f"{RUNS}/") else run / member: weight
            for member, weight in members.items()
        }
        for name, members in found.items()
    }


def write_ensemble(
    experiment: Experiment,
    name: str,
    members: Mapping[Path, float],
    seeds: Sequence[int],
    fold: int,
) -> None:
    """Of each member with each of the seeds; written as the first seed's."""
    config, table, parts = experiment.config, experiment.table, experiment.parts
    parts_of = [Path(f"seed_{seed}", f"fold_{fold}") for seed in seeds]
    ids = table.ids[parts.report]
    said, records = [], []
    folders = {
        path.with_name(path.name.removesuffix(SEEDS)) / part: weight
        for path, weight in members.items()
        for part in parts_of
    }
    for folder in folders:
        if not (folder / "metrics.json").exists():
            raise UserError(f"[ensembles] {name}: {folder} is not trained yet")
        said.append(read_predictions(folder / "predictions.csv", ids, table.classes))
        records.append(json.loads((folder / "metrics.json").read_text()))
    mean = mean_of(said, list(folders.values()), config.ensembles.mean_of, table.task)
    sizes = ("parameters", "macs", "weight_bytes", "seconds")
    write_mean(
        experiment,
        RUNS / config.run.name / name / parts_of[0],
        mean,
        **{key: records[0][key] for key in ("variant", "dataset", "seed", "fold", "split")},
        **{key: sum(found[key] for found in records) for key in sizes},
        role=name,
        model=f"mean of {len(folders)}",
        epochs=0,
        epoch_chosen_on=parts.select_name,
        members={str(path): weight for path, weight in members.items()},
    )


def read_predictions(path: Path, ids: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """(N, K) in the order of `ids`. Raises UserError for other clips or other classes."""
    found = pd.read_csv(path, dtype={"audio_filename": str}).set_index("audio_filename")
    if tuple(found.columns) != classes:
        raise UserError(f"{path}: is of other classes: {', '.join(found.columns)}")
    if missing := set(ids) - set(found.index):
        raise UserError(f"{path}: lacks the clip {str(min(missing))!r} and {len(missing) - 1} more")
    return found.loc[list(ids)].to_numpy()


def mean_of(said: list[np.ndarray], weights: list[float], kind: str, task: str) -> np.ndarray:
    """The weighted mean of probabilities, or of the logits that they stand for.

    The mean of softmax logits is the geometric mean of the probabilities, normalised: what is the
    same for all classes of a clip does not count. Shapes: M of (N, K) -> (N, K).
    """
    if kind == "probabilities":
        return np.average(said, axis=0, weights=weights)
    sure = np.clip(said, SURE, 1 - SURE)
    if task == "multi_label":
        return expit(np.average(logit(sure), axis=0, weights=weights))
    geometric = np.exp(np.average(np.log(sure), axis=0, weights=weights))
    return geometric / geometric.sum(axis=1, keepdims=True)
