"""The logits of a finished training for all clips of its features."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd
import torch

from config import Config, UserError, load
from data.checksums import read_finished, sha256_of
from data.features.mel_cache import MelCache, cache_folder
from data.loading.batches import ClipFeatures
from data.tables.splits import split_clips
from models.stored import read_model
from training.logits.table import Logits
from training.run_folder import AGAIN, COLUMNS, METRICS, WEIGHTS
from training.teacher_cache import TeacherCache, outputs_folder

LOGITS = {"logits"}


def logits_of_training(
    folder: Path,
    device: torch.device,
    feature_memory_gb: float,
    teacher_cache_gb: float,
    own: Collection[str] = (),
) -> Logits:
    """Of clean clips; computed once and stored in the outputs/ of the training.

    `folder` is runs/NAME/<role>/seed_<s>/fold_<f>, or .../student/<variant>/...; `own` as in
    `read_model`. Raises UserError where it is not finished, and where its features are missing or
    of other clips.
    """
    record, config = read_run(folder)
    model, described = read_model(folder / WEIGHTS, own)
    cache = MelCache.open(cache_folder(config, record["role"]))
    if sha256_of(cache.folder / "clips.csv") != record["settings"]["clips"]:
        raise UserError(f"{folder} was trained on other clips than {cache.folder} contains now")
    features = ClipFeatures(cache, cache.table.ids, device, feature_memory_gb)
    features.mean = torch.tensor(described.mean, device=device)
    features.std = torch.tensor(described.std, device=device)
    table, data = cache.table, config.data
    made_from = {"weights": sha256_of(folder / WEIGHTS), **cache.fingerprints()}
    stored = outputs_folder(folder / "outputs", {**made_from, "drawn": "none"}, table.ids[:])
    model = model.to(device).to(memory_format=torch.channels_last).requires_grad_(False)
    rows = torch.arange(len(table)).numpy()
    outputs = TeacherCache(
        model, features, rows, None, [stored], feature_memory_gb, teacher_cache_gb
    )
    if outputs.stored_as("logits") != ("logits", "float32"):
        raise UserError(f"the logits of {folder} take more than [run] TEACHER_CACHE_GB; raise it")
    with outputs.alone():
        outputs.fill(LOGITS)
    trained = torch.zeros(len(table), dtype=torch.bool)
    trained[split_clips(table, record["fold"], data.protocol, data.hold_out).train] = True
    return Logits(
        where=folder,
        ids=pd.Index(table.ids[:]),
        classes=described.classes,
        values=outputs.table(stored, "logits", "float32").read().numpy(),
        trained=trained.numpy(),
        record={name: record[name] for name in COLUMNS if name in record},
        made_from=made_from,
    )


def read_run(folder: Path) -> tuple[dict, Config]:
    """metrics.json of a finished training with weights, and the settings of its run."""
    for name in (METRICS, WEIGHTS):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: no {name} in it; expected a finished teacher or student")
    record = read_finished(folder / METRICS, f"remove {folder} {AGAIN}")
    run = folder.parents[3 if record["role"].startswith("student") else 2]
    return record, load(run / "config.ini")
