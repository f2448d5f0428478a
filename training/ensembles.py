"""Ensembles: systems that are the mean of others, as rows of the table and as teachers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from config import Config, ConfigError, UserError
from data.checksums import read_finished, sha256_of
from training.distributed import barrier, rank
from training.fold import FoldData
from training.fusion import fused, logits_of, probabilities_of
from training.logits.checks import check_better_than_chance, check_test_clips_unseen
from training.logits.of_training import logits_of_training
from training.logits.table import EXPORTED, FILE, Logits, named
from training.run_folder import (
    AGAIN,
    METRICS,
    PREDICTIONS,
    RUNS,
    WEIGHTS,
    find_training,
    role_folder,
)
from training.systems import evaluation_targets, read_predictions, write_mean
from training.teacher_cache import CachedTeacher

SEEDS = "@seeds"  # teacher@seeds: the mean over all seeds of the run
BLOCK = 4096  # clips fused at a time


def combine(fold: FoldData, seed: int, students_too: bool = False) -> None:
    """Write every ensemble of this seed and fold to the run folder, like a trained system.

    Without `students_too` the ensembles that contain students of this run are left out. Raises
    UserError where a member is missing or has other clips or classes.
    """
    if rank() == 0:
        write_ensembles(fold, seed, students_too)
    barrier()


def write_ensembles(fold: FoldData, seed: int, students_too: bool) -> None:
    """By rank 0."""
    config = fold.config
    for name, members in ensembles(config).items():
        if not students_too and has_students(config, members):
            continue
        if not over_seeds(members):
            write_ensemble(fold, name, seed)
        elif seed == config.run.seeds[-1]:
            write_ensemble(fold, name, config.run.seeds[0])


def has_students(config: Config, members: Iterable[Path]) -> bool:
    """Whether one of them is a student of this run."""
    student = f"{RUNS / config.run.name}/student"
    return any(str(path).startswith(student) for path in members)


def over_seeds(members: Iterable[Path]) -> bool:
    return any(path.name.endswith(SEEDS) for path in members)


def ensembles(config: Config) -> dict[str, dict[Path, float]]:
    """Name -> member -> weight. A member is a folder that contains seeds, or a logit file.

    Raises ConfigError for two names of one member.
    """
    found: dict[str, dict[Path, float]] = {}
    for name, members in config.ensemble_members().items():
        names: dict[Path, str] = {}
        for member in members:
            first = names.setdefault(place(config, member).resolve(), member)
            if first != member:
                same = f"found {first!r} and {member!r}, which are one system; name it once"
                raise ConfigError(f"[ensembles] {name}", same)
        found[name] = {place(config, member): weight for member, weight in members.items()}
    return found


def place(config: Config, member: str) -> Path:
    """`teacher` and `student/ce+kd` are in this run, any other member is a path."""
    of_this_run = "/" not in member or member.startswith("student")
    if of_this_run and not member.endswith(FILE):
        return role_folder(config, member)
    return Path(member)


def sources(config: Config, name: str, seed: int, fold: int) -> dict[Path, float]:
    """The trainings and logit files of an ensemble -> the weight of each."""
    return {
        source: weight
        for path, weight in ensembles(config)[name].items()
        for source in sources_of(config, path, seed, fold)
    }


def sources_of(config: Config, path: Path, seed: int, fold: int) -> list[Path]:
    """Of one member: the training of this seed and fold, or the only one; with SEEDS one training
    per seed: [run] SEEDS for this run, all seeds that exist for another.
    """
    if path.suffix == FILE:
        return [path]
    top = path.with_name(path.name.removesuffix(SEEDS))
    teachers = RUNS / config.run.of_teachers
    if {RUNS / config.run.name, teachers} & set(path.parents):
        seeds = config.run.seeds if over_seeds([path]) else (seed,)
        return [top / f"seed_{one}" / f"fold_{fold}" for one in seeds]
    if not over_seeds([path]):
        found = [find_training(top, seed, fold)]
    elif not (found := sorted(top.glob(f"seed_*/fold_{fold}"))):
        raise UserError(f"{top}: no training of fold {fold}")
    return [at / EXPORTED if (at / EXPORTED).exists() else at for at in found]


# Rows of the table --------------------------------------------------------------------------------


def write_ensemble(fold: FoldData, name: str, seed: int) -> None:
    """From its members for this seed; left out where a logit file lacks a test clip."""
    config, table, split = fold.config, fold.table, fold.split
    ids = table.ids[split.test]
    where, outputs, records = f"[ensembles] {name}", [], []
    found = sources(config, name, seed, fold.number)
    for source in found:
        if source.suffix == FILE:
            logits = Logits.read(source)
            check_test_clips_unseen(where, table, split, logits)
            if len(missing := logits.missing(ids)):
                print(f"{where}: no row of the table, {source} lacks {named(missing)}")
                return
            outputs.append(logits.of(ids, table.classes))
            records.append(logits.record)
            continue
        if not (source / METRICS).exists():
            raise UserError(f"{where}: {source} is not trained yet")
        records.append(read_finished(source / METRICS, f"remove {source} {AGAIN}"))
        predicted = read_predictions(source / PREDICTIONS, ids, table.classes)
        outputs.append(logits_of(predicted, table.task))
    mean = fused(outputs, list(found.values()), config.ensembles.mean_of, table.task)
    sizes = ("parameters", "macs", "weight_bytes", "seconds")
    chosen_on = {record.get("epoch_chosen_on", "none") for record in records} - {"none"}
    write_mean(
        fold,
        RUNS / config.run.name / name / f"seed_{seed}" / f"fold_{fold.number}",
        probabilities_of(mean, table.task),
        evaluation_targets(fold, seed),
        {
            **{key: sum(record.get(key, 0) for record in records) for key in sizes},
            "variant": records[0].get("variant", fold.experiment.teacher_losses),
            "dataset": config.data.dataset,
            "seed": seed,
            "fold": fold.number,
            "split": split.test_name,
            "role": name,
            "model": f"mean of {len(found)}",
            "epochs": 0,
            "epoch_chosen_on": " and ".join(sorted(chosen_on)) or "none",
            "members": {str(path): weight for path, weight in ensembles(config)[name].items()},
        },
    )


# Teachers -----------------------------------------------------------------------------------------


def ensemble_teacher(fold: FoldData, name: str, seed: int) -> CachedTeacher:
    """The logits of an ensemble for the clean training clips; the student's may be augmented.

    Raises UserError where a member is missing, has other clips or classes, was trained on a test
    clip, or is a published file whose accuracy is no higher than chance.
    """
    config, table, rows = fold.config, fold.table, fold.split.train
    found, ids, outputs = sources(config, name, seed, fold.number), table.ids[rows], []
    limits = fold.experiment.feature_memory_gb(), config.run.teacher_cache_gb
    where = f"[ensembles] {name}"
    for source in found:
        if source.suffix == FILE:
            logits = Logits.read(source)
        else:
            logits = logits_of_training(source, fold.device, *limits)
        outputs.append(logits.of(ids, table.classes))
        check_test_clips_unseen(where, table, fold.split, logits)
        if logits.trained is None:
            check_better_than_chance(where, table, fold.split, logits.where, outputs[-1])
    weights, kind = list(found.values()), config.ensembles.mean_of
    mean = torch.empty(outputs[0].shape)
    for start in range(0, len(mean), BLOCK):
        block = slice(start, start + BLOCK)
        of_block = fused([member[block] for member in outputs], weights, kind, table.task)
        mean[block] = torch.from_numpy(of_block)
    return CachedTeacher(rows, [{"logits": lambda at: mean[at].to(fold.device)}])


def ensemble_settings(fold: FoldData, name: str, seed: int) -> dict[str, str]:
    """All that the outputs of an ensemble depend on, flat."""
    settings: dict[str, str] = {f"{name} mean of": fold.config.ensembles.mean_of}
    for source, weight in sources(fold.config, name, seed, fold.number).items():
        file = source if source.suffix == FILE else source / WEIGHTS
        if not file.is_file():
            raise UserError(
                f"[ensembles] {name}: {file} is not there: expected a finished training"
            )
        settings[f"{name} {source}"] = f"{weight:g} * {sha256_of(file)}"
    return settings
