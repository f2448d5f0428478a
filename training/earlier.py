"""What a training requires of an earlier one that it starts from or is distilled from."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from config import Mel, UserError, to_text
from data.features.mel_cache import MelCache, front_end_fields
from data.tables.clips import ClipTable
from data.tables.splits import split_clips
from models.own import code_fingerprint
from models.stored import read_description
from training.checks import model_options
from training.distributed import rank
from training.fold import FoldData
from training.run_folder import differences, read_training

INIT_WEIGHTS = "init weights"  # key of their checksum in the settings of a training


def check_teacher(fold: FoldData, weights: Path, own: Mapping[str, str] | None) -> None:
    """Raises UserError for a teacher that would get other inputs, or be another model, than in its
    training, and for one that was trained on test clips of the fold.

    `own`: the settings of this run's teacher now, but for INIT_WEIGHTS, which are to be those that
    it was trained with.
    """
    folder, record = weights.parent, read_training(weights.parent)
    check_same_clips(fold, folder, record["settings"])
    if own:
        then = {key: text for key, text in record["settings"].items() if key != INIT_WEIGHTS}
        refuse_changes(folder, then, own)
    else:
        check_same_inputs(fold, weights, "teacher", record["settings"])
        check_unseen(fold, folder, record)


def check_init(fold: FoldData, weights: Path, role: str, as_it_is: bool) -> None:
    """Raises UserError for weights of a training whose training clips are test clips of the fold,
    and, used `as_it_is`, of another model or front end than `role` has now.
    """
    record = read_training(weights.parent)
    check_unseen(fold, weights.parent, record)
    if as_it_is:
        check_same_inputs(fold, weights, role, record["settings"])


def refuse_changes(folder: Path, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    if changed := differences(then, now):
        raise UserError(
            f"{folder} was trained with other settings ({changed}): set them as they were, or "
            "train it again, with another [run] NAME or with --overwrite"
        )


def check_same_clips(fold: FoldData, folder: Path, recorded: Mapping[str, str]) -> None:
    """Raises UserError where the recordings or labels were replaced since a teacher was trained."""
    trained = recorded.get("features.teacher", ""), recorded.get("clips")
    features = fold.features["teacher"]
    if trained[0].startswith(features.cache.folder.name) and trained != (
        features_by_content(fold, "teacher"),
        features.cache.files["clips.csv"],
    ):
        raise UserError(
            f"{folder} was trained on other recordings or labels than {features.cache.folder} "
            "contains now: run train_teacher.py again, with another [run] NAME or with --overwrite"
        )


def features_by_content(fold: FoldData, name: str) -> str:
    """`<cache> <fingerprint>`, also of the recordings that training crops."""
    features = fold.features[name]
    caches = [one.cache for one in (features, features.recordings) if one]
    return " ".join([caches[0].folder.name, *(c.fingerprints()["shards"] for c in caches)])


def check_same_inputs(
    fold: FoldData, weights: Path, role: str, recorded: Mapping[str, str]
) -> None:
    """Raises UserError where weights that are used as they are, as those of `role`, were trained
    with another model or front end.
    """
    described, features = read_description(weights), fold.features[role]
    model = getattr(fold.config, role).model
    code = recorded.get("code.teacher", recorded.get("code.student", ""))
    then = inputs(described.model, code, described.options, described.front_end)
    options, mel = model_options(fold.config, role), fold.config.mel_of(role)
    now = inputs(model, code_fingerprint(model), options, mel)
    for name in ("mean", "std"):
        trained, found = getattr(described, name), getattr(features, name).tolist()
        same = len(trained) == len(found) and np.isclose(trained, found, rtol=1e-4, atol=1e-6)
        if not np.all(same):
            first = np.argmin(same)  # of the bands that differ
            then[f"{name} of the features"] = f"{trained[first]:.6g}"
            now[f"{name} of the features"] = f"{found[first]:.6g}"
    refuse_changes(weights.parent, then, now)


def inputs(model: str, code: str, options: dict[str, Any], mel: Mel) -> dict[str, str]:
    """All that decides what a model computes from a clip, beside its weights, as flat text."""
    stored = json.loads(json.dumps(options))
    return {
        "model": model,
        "code of the model": code,
        **{f"option {key}": json.dumps(value) for key, value in stored.items()},
        **{f"mel.{key}": to_text(value) for key, value in front_end_fields(mel).items()},
    }


def check_unseen(fold: FoldData, folder: Path, record: Mapping[str, Any]) -> None:
    """Raises UserError where test clips of the fold are training clips of a finished training.

    Clips of another table that have the same names, but not the same files, are a warning.
    """
    settings, data = record["settings"], fold.config.data
    number, protocol = record["fold"], settings["data.protocol"]
    same_table = settings["clips"] in {f.cache.files["clips.csv"] for f in fold.features.values()}
    if same_table and (number, protocol) == (fold.number, data.protocol):
        return
    table = fold.experiment.table if same_table else table_of(record)
    if table is None:
        return
    trained = table.take(
        split_clips(table, number, protocol, float(settings["data.hold_out"])).train
    )
    test = fold.table.take(fold.split.test)
    rows = trained.rows_of(test.ids)
    if not (rows >= 0).any():
        return
    seen = np.flatnonzero(rows >= 0)
    same = test.columns["path"][seen] == trained.columns["path"][rows[seen]]
    of_all = f"{len(seen)} of the {len(test)} test clips ({fold.split.test_name})"
    first = f"the first is {str(test.ids[seen[0]])!r}"
    if same.any():
        raise UserError(f"{folder} was trained on {of_all}, {first}: use a training of this fold")
    warn(
        f"{folder} was trained on clips with the names of {of_all}, {first}; are they the same "
        "recordings?"
    )


@cache
def warn(text: str) -> None:
    """Once: a teacher is checked before each of its students."""
    if rank() == 0:
        print(f"warning: {text}", file=sys.stderr)


def table_of(record: Mapping[str, Any]) -> ClipTable | None:
    """The clips of a finished training, where their features are still there."""
    settings = record["settings"]
    role = "student" if record["role"].startswith("student") else "teacher"
    name = settings[f"features.{role}"].partition(" ")[0]
    try:
        cache = MelCache.open(Path("features", settings["data.dataset"], name))
    except UserError:
        return None
    return cache.table if cache.files["clips.csv"] == settings["clips"] else None
