"""Audio files -> log-mel caches for the teacher and the student, below features/.

Each recording is decoded once for both. A run that was stopped resumes with the first unfinished
shard. Under torchrun each process computes its share of the shards.
"""

from __future__ import annotations

import argparse
import atexit
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from config import Config, ConfigError, UserError, next_command, run_script, script_parser

if TYPE_CHECKING:
    from data.features.cache_writer import BadClip, Stamps
    from data.tables.clips import ClipTable

LISTED = 20  # bad clips that an error lists one by one


class ClipSet(NamedTuple):
    """Clips of one length, and the folder of a role's features of them."""

    table: ClipTable
    seconds: float
    stereo: bool
    folder_of: Callable[[Config, str], Path]
    sources: Mapping[str, str]  # see data.tables.sources


def main(arguments: argparse.Namespace, config: Config) -> None:
    from training.preparation import check_settings

    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    check_settings(config)
    if arguments.dry_run:
        from data.plan import plan

        print("\n".join(plan(config, arguments.download)))
        return
    rank, world = join_processes()
    clip_sets = read_clips(config, arguments.download, rank, world)
    changed = []
    for clip_set in clip_sets:
        with locked_caches(clip_set, config, rank, world):
            changed.append(make_caches(clip_set, config, rank, world))
    if rank == 0:
        if not any(changed):
            print("nothing to do: the features were already complete")
        print(next_command("train_teacher.py", arguments))


@contextmanager
def locked_caches(clip_set: ClipSet, config: Config, rank: int, world: int) -> Iterator[None]:
    """No other make_mel.py writes these caches. Raises UserError that names one that does."""
    from data.lock import locked

    with ExitStack() as stack:
        if rank == 0:
            for folder in sorted({clip_set.folder_of(config, r) for r in ("teacher", "student")}):
                stack.enter_context(locked(folder))
        gather(None, world)  # the other processes start once all is locked
        yield


def make_caches(clip_set: ClipSet, config: Config, rank: int, world: int) -> bool:
    """The cache of each role; False where all were complete already. Raises UserError."""
    from data.features.cache_writer import ABSENT, CacheWriter, stamps_of
    from data.features.extract import extract
    from data.features.front_end import clip_shape

    table, clip_seconds = clip_set.table, clip_set.seconds
    stamps = stamps_of(table.columns["path"])
    caches = {}
    for role in ("teacher", "student"):
        mel, folder = config.mel_of(role), clip_set.folder_of(config, role)
        clip = clip_shape(mel, clip_seconds)
        caches[folder] = CacheWriter(folder, mel, clip, table, stamps, clip_set.sources)

    began, strict = time.perf_counter(), config.data.on_bad_audio == "stop"
    if strict and sum(stamp == ABSENT for stamp in stamps.values()) > LISTED:
        refuse(missing_clips(table, stamps), len(table), caches, rank)  # before the others are read
    device = feature_device(config.run.device)
    own = extract(
        list(caches.values()),
        clip_seconds,
        strict=strict,
        workers=config.run.workers or cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) or 1,
        context=worker_context(device, world),
        device=device,
        stereo=clip_set.stereo,
        rank=rank,
        world=world,
        show=rank == 0,
    )
    shares = gather(own, world)
    bad = sorted(clip for _, share in shares for clip in share)
    if bad and strict:
        refuse(bad, len(table), caches, rank)
    if rank > 0:
        return False
    changed = [cache.finalise() for cache in caches.values()]
    seconds, read = time.perf_counter() - began, sum(count for count, _ in shares)
    for folder in caches:
        print_cache(folder, clip_set)
    if read:
        print(f"{read} clips read in {seconds:.1f} s: {read / seconds:.0f} clips per second")
    elif any(changed):
        print("labels read again; the features were complete")
    return any(changed)


def print_cache(folder: Path, clip_set: ClipSet) -> None:
    from data.features.mel_cache import MelCache

    cache = MelCache.open(folder)
    shape, hours = "x".join(map(str, cache.shape)), len(cache) * clip_set.seconds / 3600
    missing = len(clip_set.table) - len(cache)
    left_out = f"; {missing} left out, see bad_clips.csv" if missing else ""
    print(f"{folder}: {len(cache)} clips of {shape}, {hours:.2f} h{left_out}")


def missing_clips(table: ClipTable, stamps: Stamps) -> list[BadClip]:
    """The clips whose recordings are not there."""
    from data.features.cache_writer import ABSENT, BadClip
    from data.features.similar_names import absent
    from data.tables.clips import files_of

    clips = zip(table.ids[:].tolist(), table.columns["path"][:].tolist(), strict=True)
    return [
        BadClip(name, path, absent(files_of(path)[0]))
        for name, path in clips
        if stamps[path] == ABSENT
    ]


def refuse(bad: Sequence[BadClip], clips: int, folders: Iterable[Path], rank: int) -> NoReturn:
    """Write the bad clips beside each cache, and raise UserError."""
    from data.features.cache_writer import write_bad_clips

    if rank == 0:
        for folder in folders:
            write_bad_clips(folder, bad)
    raise bad_clips_error(bad, clips, folders)


def bad_clips_error(bad: Sequence[BadClip], clips: int, folders: Iterable[Path]) -> UserError:
    """How many of the clips are bad, and why: the first ones, one per line."""
    from data.tables.clips import files_of

    lines = [f"\n  {clip.id}: {clip.reason} ({files_of(clip.path)[0]})" for clip in bad[:LISTED]]
    if len(bad) > LISTED:
        lines.append(f"\n  … and {len(bad) - LISTED} more")
    lists = " and ".join(str(folder / "bad_clips.csv") for folder in folders)
    return UserError(
        f"{len(bad)} of {clips} clips cannot be read:{''.join(lines)}\n"
        "Fix them and start again (finished shards are kept; --download fetches missing files of a "
        "public data set), or set [data] ON_BAD_AUDIO = skip to leave them out. The full "
        f"list is in {lists}"
    )


def read_clips(config: Config, download: bool, rank: int, world: int) -> list[ClipSet]:
    """The clips of [data] and, where training crops recordings, these; downloads on request.

    Raises UserError for clips that training would refuse.
    """
    from data.datasets import build_dataset, root_of
    from data.features.mel_cache import cache_folder, recordings_folder
    from data.lock import locked
    from data.tables.inside import check_inside
    from data.tables.sources import fingerprints
    from training.preparation import check_table, doubtful

    data = config.data
    dataset, root = build_dataset(data), root_of(data)
    if dataset.recording_seconds and data.on_bad_audio == "skip":
        found = "found 'skip', but REASSEMBLE requires every slice of a recording: set 'stop'"
        raise ConfigError("[data] on_bad_audio", found)
    if rank == 0 and (download or dataset.embedded):
        with locked(root / "download"):
            dataset.download(root)
    gather(None, world)  # the other processes wait for the download
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder; set [data] ROOT to the folder of the recordings"
            + ("" if download else ", or download them with --download")
        )
    table, seconds = dataset.table(root), data.clip_seconds or dataset.clip_seconds
    if rank == 0 and data.outside_root == "refuse":
        check_inside(table, root)
    splits = check_table(config, dataset, table)
    for line in doubtful(config, dataset, table, splits) if rank == 0 else ():
        print(f"warning: {line}", file=sys.stderr)
    if rank == 0 and (unlabelled := int((~table.labelled).sum())):
        print(f"{unlabelled} of {len(table)} clips have no label: they are for distillation only")
    sources = fingerprints(dataset.sources(root))
    clip_sets = [ClipSet(table, seconds, dataset.stereo, cache_folder, sources)]
    if recording_seconds := dataset.recording_seconds:
        recordings = table.recordings()
        clip_sets.append(
            ClipSet(recordings, recording_seconds, dataset.stereo, recordings_folder, sources)
        )
    return clip_sets


def feature_device(wanted: str) -> str:
    """The GPU of [run] DEVICE, or else the CPU, where each process transforms what it decoded."""
    from training.device import choose_device

    device = choose_device(wanted)
    return str(device) if device.type == "cuda" else "cpu"


# Processes ----------------------------------------------------------------------------------------


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_context(device: str, world: int) -> BaseContext:
    """Forked workers have the modules of this process; an import of torch takes seconds. A process
    with a GPU or with the threads of torch.distributed cannot be forked.
    """
    if sys.platform == "linux" and device == "cpu" and world == 1:
        return multiprocessing.get_context("fork")
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["data.features.extract", "soundfile", "soxr", "tqdm"])
    return context


def join_processes() -> tuple[int, int]:
    """(rank, number of processes) under torchrun, else (0, 1)."""
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if world > 1:
        import torch.distributed

        torch.distributed.init_process_group("gloo", timeout=timedelta(days=7))
        atexit.register(torch.distributed.destroy_process_group)  # or its threads abort the exit
    return rank, world


def gather(item: Any, world: int) -> list[Any]:
    """The item of every process, in every process."""
    if world == 1:
        return [item]
    import torch.distributed

    items = [None] * world
    torch.distributed.all_gather_object(items, item)
    return items


def parser() -> argparse.ArgumentParser:
    return script_parser(
        "Compute the log-mel features that config.ini describes, and cache them on disk.",
        ("--download", "download the recordings first (a public data set)"),
        ("--dry-run", "print what would be done, and write nothing"),
    )


if __name__ == "__main__":
    run_script(main, parser())
