"""What make_mel.py would do, for its option --dry-run. Nothing is written or downloaded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from config import Config, Mel, UserError
from data.datasets import build_dataset, root_of
from data.download.disk import in_words
from data.features.cache_writer import ABSENT, CacheWriter, Stamps, stamps_of
from data.features.front_end import clip_shape
from data.features.mel_cache import cache_folder, recordings_folder
from data.tables.clips import ClipTable, Dataset

MOST_LABELS = 30  # that are listed


def plan(settings: Config, download: bool) -> Iterator[str]:
    """The lines to print: data set, audio, clips, labels, caches."""
    data = settings.data
    dataset, root = build_dataset(data), root_of(data)
    seconds = data.clip_seconds or dataset.clip_seconds
    yield f"data set  {data.dataset}: {dataset.task}, clips of {seconds:g} s, {dataset.licence}"
    table, problem = read_table(dataset, root)
    yield f"audio     {root}: {audio_state(dataset, table, problem, download)}"
    if table is None:
        yield f"clips     {dataset.clips_summary}, as published; counted once the audio is there"
    else:
        yield f"clips     {clip_counts(table)}"
        yield f"labels    {label_counts(table)}"
    yield from cache_lines(settings, table, seconds, cache_folder)
    if dataset.recording_seconds:
        recordings = table.recordings() if table is not None else None
        length = dataset.recording_seconds
        yield from cache_lines(settings, recordings, length, recordings_folder)
    yield "dry run: nothing was written"


def read_table(dataset: Dataset, root: Path) -> tuple[ClipTable | None, str]:
    """The clip table, or else the reason why there is none."""
    if not root.is_dir():
        return None, "no such folder"
    try:
        with warnings.catch_warnings(action="ignore"):
            return dataset.table(root), ""
    except UserError as error:
        return None, str(error)


def audio_state(dataset: Dataset, table: ClipTable | None, problem: str, download: bool) -> str:
    if table is None and dataset.embedded:
        return "not there yet; make_mel.py synthesises it, no download is needed"
    if table is None:
        would = "--download fetches it" if download else f"to get it: {dataset.how_to_get}"
        return f"{problem}; {would}"
    stamps = stamps_of(table.columns["path"])
    missing = sorted(path for path, stamp in stamps.items() if stamp == ABSENT)
    if missing:
        return f"{len(missing)} of {len(stamps)} recordings are missing, such as {missing[0]}"
    return f"all {len(stamps)} recordings are there"


def clip_counts(table: ClipTable) -> str:
    """`1100: train 600, validate 200, test 300`, or by folds."""
    if table.folds:
        found = {f"fold {k}": n for k, n in enumerate(np.bincount(table.columns["fold"][:])) if n}
    else:
        split = table.columns["split"][:]
        found = {name: (split == name).sum() for name in ("train", "validate", "test")}
    counts = ", ".join(f"{name} {count}" for name, count in found.items())
    unlabelled = int((~table.labelled).sum())
    return f"{len(table)}: {counts}{f'; {unlabelled} without labels' if unlabelled else ''}"


def label_counts(table: ClipTable) -> str:
    """How many clips have each label, the most frequent first; a target from 0.5 up is a label."""
    counts = np.asarray((table.targets.matrix >= 0.5).sum(axis=0))
    order = np.argsort(-counts, kind="stable")
    listed = [f"{table.classes[k]} {counts[k]}" for k in order[:MOST_LABELS]]
    more = len(order) - len(listed)
    return f"{len(order)}: {', '.join(listed)}{f' … and {more} more' if more else ''}"


def cache_lines(
    settings: Config,
    table: ClipTable | None,
    seconds: float,
    folder_of: Callable[[Config, str], Path],
) -> Iterator[str]:
    """One line per cache; roles with the same front end share one."""
    roles: dict[Path, list[str]] = {}
    for role in ("teacher", "student"):
        roles.setdefault(folder_of(settings, role), []).append(role)
    stamps = {} if table is None else stamps_of(table.columns["path"])
    for folder, names in roles.items():
        mel = settings.mel_of(names[0])
        shape = clip_shape(mel, seconds)
        size = 2 * int(np.prod(shape))
        total = f"{in_words(size)} per clip"
        if table is not None:
            total += f", {in_words(size * len(table))} in all"
        kind = "raw waveform" if mel.front_end == "waveform" else f"{mel.num_bands} mel bands"
        state = cache_state(folder, mel, shape, table, stamps)
        yield (
            f"cache     {folder} for the {' and '.join(names)}: {kind} at {mel.sample_rate} Hz, "
            f"{'x'.join(map(str, shape))}, {total}; {state}"
        )


def cache_state(
    folder: Path, mel: Mel, shape: tuple[int, ...], table: ClipTable | None, stamps: Stamps
) -> str:
    """How many of the clips have features that make_mel.py would keep."""
    if table is None or not folder.is_dir():
        return "to be computed"
    writer = CacheWriter(folder, mel, shape, table, stamps)
    finished = [k for k in range(writer.shards) if writer.finished(k)]
    there = sum(len(writer.rows(k)) for k in finished)
    if not there:
        return "to be computed"
    others = len(table) - there
    return f"{there} clips are already there" + (f", {others} to be computed" if others else "")
