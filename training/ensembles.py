"""Systems that are the mean of others: as rows of the table, and as teachers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from config import Config, UserError
from data.features.mel_cache import sha256_of
from training.distributed import rank
from training.experiment import Experiment
from training.fusion import fused, logits_of, probabilities_of
from training.logits.of_training import WEIGHTS, logits_of_training
from training.logits.table import Logits, named
from training.run_folder import RUNS, find_training
from training.systems import write_mean
from training.teacher_cache import CachedTeacher

SEEDS = "@seeds"  # teacher@seeds: the mean over all seeds of the run
FILE = ".safetensors"  # of a member that is a logit file
EXPORTED = "logits.safetensors"  # in place of a training, in a folder of seeds and folds
BLOCK = 4096  # clips that are fused at a time


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
            write_ensemble(experiment, name, seed, fold)
        elif seed == config.run.seeds[-1]:
            write_ensemble(experiment, name, config.run.seeds[0], fold)


def over_seeds(members: Iterable[Path]) -> bool:
    return any(path.name.endswith(SEEDS) for path in members)


def ensembles(config: Config) -> dict[str, dict[Path, float]]:
    """Name -> the folder of each member, above its seeds, or its logit file -> its weight."""
    return {
        name: {place(config, member): weight for member, weight in members.items()}
        for name, members in config.ensemble_members().items()
    }


def place(config: Config, member: str) -> Path:
    """`teacher` and `student/ce+kd` are of this run, any other path is what it says."""
    of_this_run = "/" not in member or member.startswith("student")
    if of_this_run and not member.endswith(FILE):
        return RUNS / config.run.name / member
    return Path(member)


def sources(config: Config, name: str, seed: int, fold: int) -> dict[Path, float]:
    """The trainings and logit files that an ensemble consists of -> the weight of each."""
    return {
        source: weight
        for path, weight in ensembles(config)[name].items()
        for source in sources_of(config, path, seed, fold)
    }


def sources_of(config: Config, path: Path, seed: int, fold: int) -> list[Path]:
    """Of one member: the training of this seed and fold, or the only one; with SEEDS that of each
    seed: of [run] SEEDS for this run, of all that are there for another.
    """
    if path.suffix == FILE:
        return [path]
    top, own = path.with_name(path.name.removesuffix(SEEDS)), RUNS / config.run.name
    if own in path.parents:
        seeds = config.run.seeds if over_seeds([path]) else (seed,)
        return [top / f"seed_{one}" / f"fold_{fold}" for one in seeds]
    if not over_seeds([path]):
        found = [find_training(top, seed, fold)]
    elif not (found := sorted(top.glob(f"seed_*/fold_{fold}"))):
        raise UserError(f"{top}: no training of fold {fold}")
    return [at / EXPORTED if (at / EXPORTED).exists() else at for at in found]


# Rows of the table --------------------------------------------------------------------------------


def write_ensemble(experiment: Experiment, name: str, seed: int, fold: int) -> None:
    """Of its members for this seed; left out where a logit file lacks a clip that is reported."""
    config, table, split = experiment.config, experiment.table, experiment.split
    ids = table.ids[split.test]
    said, records = [], []
    found = sources(config, name, seed, fold)
    for source in found:
        if source.suffix == FILE:
            logits = Logits.read(source)
            check_untrained(experiment, name, logits)
            if len(missing := logits.missing(ids)):
                print(f"[ensembles] {name}: no row of the table, {source} lacks {named(missing)}")
                return
            said.append(logits.of(ids, table.classes))
            records.append(logits.record)
            continue
        if not (source / "metrics.json").exists():
            raise UserError(f"[ensembles] {name}: {source} is not trained yet")
        predicted = read_predictions(source / "predictions.csv", ids, table.classes)
        said.append(logits_of(predicted, table.task))
        records.append(json.loads((source / "metrics.json").read_text()))
    whole = fused(said, list(found.values()), config.ensembles.mean_of, table.task)
    sizes = ("parameters", "macs", "weight_bytes", "seconds")
    write_mean(
        experiment,
        RUNS / config.run.name / name / f"seed_{seed}" / f"fold_{fold}",
        probabilities_of(whole, table.task),
        **{key: sum(record.get(key, 0) for record in records) for key in sizes},
        variant=records[0].get("variant", experiment.teacher_losses),
        dataset=config.data.dataset,
        seed=seed,
        fold=fold,
        split=split.test_name,
        role=name,
        model=f"mean of {len(found)}",
        epochs=0,
        epoch_chosen_on=split.validation_name,
        members={str(path): weight for path, weight in ensembles(config)[name].items()},
    )


def read_predictions(path: Path, ids: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """(N, K) in the order of `ids`. Raises UserError for other clips or other classes."""
    found = pd.read_csv(path, dtype={"audio_filename": str}).set_index("audio_filename")
    if tuple(found.columns) != classes:
        raise UserError(f"{path}: is of other classes: {', '.join(found.columns)}")
    if missing := set(ids) - set(found.index):
        raise UserError(f"{path}: lacks the clip {str(min(missing))!r} and {len(missing) - 1} more")
    return found.loc[list(ids)].to_numpy()


# Teachers -----------------------------------------------------------------------------------------


def ensemble_teacher(experiment: Experiment, name: str, seed: int) -> CachedTeacher:
    """What an ensemble says of the training clips as they are; the student may hear them disturbed.

    Raises UserError where a member is not there, is of other clips or classes, was trained on a
    clip that is reported, or is a published file that is right no more often than chance.
    """
    config, table, rows = experiment.config, experiment.table, experiment.split.train
    found, ids, said = sources(config, name, seed, experiment.fold), table.ids[rows], []
    limits = experiment.feature_memory_gb(), config.run.teacher_cache_gb
    for source in found:
        if source.suffix == FILE:
            logits = Logits.read(source)
        else:
            logits = logits_of_training(source, experiment.device, *limits)
        said.append(logits.of(ids, table.classes))
        check_untrained(experiment, name, logits)
        if logits.trained is None:
            check_agreement(experiment, name, logits.where, said[-1])
    weights, kind = list(found.values()), config.ensembles.mean_of
    whole = torch.empty(said[0].shape)
    for start in range(0, len(whole), BLOCK):
        part = slice(start, start + BLOCK)
        of_block = fused([member[part] for member in said], weights, kind, table.task)
        whole[part] = torch.from_numpy(of_block)
    return CachedTeacher(rows, [{"logits": lambda at: whole[at].to(experiment.device)}])


def check_untrained(experiment: Experiment, name: str, logits: Logits) -> None:
    """No clip that is reported has trained a member, whatever its fold and its seed are."""
    if logits.trained is None:
        return
    split = experiment.split
    seen = np.isin(experiment.table.ids[split.test], logits.ids[logits.trained])
    if seen.any():
        first = experiment.table.ids[split.test][seen][0]
        raise UserError(
            f"[ensembles] {name}: {logits.where} was trained on {seen.sum()} of the clips that are "
            f"reported ({split.test_name}), {first!r} the first; want a training of the same fold"
        )


def check_agreement(experiment: Experiment, name: str, where: Path, said: np.ndarray) -> None:
    """A published file whose rows were listed in another order is right by chance alone.

    Shapes: said (N, K), of the training clips. Raises UserError that names the first clip.
    """
    rows, classes = experiment.split.train, experiment.table.classes
    labelled = experiment.table.targets[rows] >= 0.5
    right = labelled[np.arange(len(rows)), said.argmax(axis=1)]
    if right.mean() <= labelled.mean(axis=0).max():
        at = int(right.argmin())
        raise UserError(
            f"[ensembles] {name}: {where} is right on {right.sum()} of {len(rows)} training clips, "
            f"no more than chance: it takes {experiment.table.ids[rows[at]]!r}, the first wrong, "
            f"for {classes[said[at].argmax()]!r}; are its clips and classes in the order of its "
            "lists?"
        )
    if rank() == 0:
        print(
            f"[ensembles] {name}: {where} is right on {right.mean():.1%} of the training clips; it "
            f"does not say whether any of {experiment.split.test_name} was among its own"
        )


def ensemble_settings(experiment: Experiment, name: str, seed: int) -> dict[str, str]:
    """All that an ensemble's lesson depends on, flat."""
    settings = {f"{name} mean of": experiment.config.ensembles.mean_of}
    for source, weight in sources(experiment.config, name, seed, experiment.fold).items():
        file = source if source.suffix == FILE else source / WEIGHTS
        if not file.is_file():
            raise UserError(f"[ensembles] {name}: {file} is not there: want a finished training")
        settings[f"{name} {source}"] = f"{weight:g} * {sha256_of(file)}"
    return settings
