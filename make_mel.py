"""Audio files -> log-mel caches for the teacher and the student, below features/.

Each recording is decoded once for both. A run that was stopped goes on where it stopped. Under
torchrun each process takes its share of the shards.
"""

from __future__ import annotations

import argparse
import atexit
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import config
from config import Config, ConfigError, Mel, UserError

if TYPE_CHECKING:
    from data.features.cache_writer import BadClip
    from data.tables.clips import ClipTable

LISTED = 20  # bad clips that an error names one by one


class Heard(NamedTuple):
    """Clips of one length, and the folder of a role's features of them."""

    table: ClipTable
    seconds: float
    stereo: bool
    folder_of: Callable[[Config, str], Path]


def main(arguments: argparse.Namespace, settings: Config) -> None:
    workers = settings.run.workers or cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) or 1
    context = start_workers_early() if workers > 1 else None
    rank, world = join_processes()
    everything = read_clips(settings, arguments.download, rank, world)
    changed = [make(heard, settings, workers, context, rank, world) for heard in everything]
    if rank == 0 and not any(changed):
        print("already complete")


def make(
    heard: Heard,
    settings: Config,
    workers: int,
    context: BaseContext | None,
    rank: int,
    world: int,
) -> bool:
    """The cache of each role; False where they were there already. Raises UserError."""
    from data.features.cache_writer import ABSENT, BadClip, CacheWriter, stamps_of, write_bad_clips
    from data.features.extract import extract
    from data.features.mel_cache import MelCache

    table, clip_seconds = heard.table, heard.seconds
    stamps = stamps_of(table.columns["path"])
    caches = {}
    for role in ("teacher", "student"):
        mel, folder = settings.mel_of(role), heard.folder_of(settings, role)
        caches[folder] = CacheWriter(folder, mel, clip_shape(mel, clip_seconds), table, stamps)

    began, strict = time.perf_counter(), settings.data.on_bad_audio == "stop"
    if strict and sum(stamp == ABSENT for stamp in stamps.values()) > LISTED:
        # So many are no slip, and need not wait until the others are read.
        clips = zip(table.ids[:].tolist(), table.columns["path"][:].tolist(), strict=True)
        bad = [BadClip(*clip, "no such file") for clip in clips if stamps[clip[1]] == ABSENT]
        if rank == 0:
            for folder in caches:
                write_bad_clips(folder, bad)
        raise complaint(bad, len(table), caches)
    mine = extract(
        list(caches.values()),
        clip_seconds,
        strict=strict,
        workers=workers,
        context=context,
        device=transforming_device(settings.run.device),
        stereo=heard.stereo,
        rank=rank,
        world=world,
        show=rank == 0,
    )
    shares = gather(mine, world)
    bad = sorted(clip for _, share in shares for clip in share)
    if bad and strict:
        if rank == 0:
            for folder in caches:
                write_bad_clips(folder, bad)
        raise complaint(bad, len(table), caches)
    if rank > 0:
        return False
    changed = [cache.finalise() for cache in caches.values()]
    seconds, read = time.perf_counter() - began, sum(count for count, _ in shares)
    for folder in caches:
        cache = MelCache.open(folder)
        shape, hours = "x".join(map(str, cache.shape)), len(cache) * clip_seconds / 3600
        lost = len(table) - len(cache)
        left_out = f"; {lost} left out, see bad_clips.csv" if lost else ""
        print(f"{folder}: {len(cache)} clips of {shape}, {hours:.2f} h{left_out}")
    if any(changed):
        print(f"{read} clips read in {seconds:.1f} s: {read / seconds:.0f} clips per second")
    return any(changed)


def complaint(bad: Sequence[BadClip], clips: int, folders: Iterable[Path]) -> UserError:
    """What is wrong with how many of the `clips`, each named where there are not too many."""
    from data.tables.clips import files_of

    lines = [f"\n  {clip.id}: {clip.reason} ({files_of(clip.path)[0]})" for clip in bad[:LISTED]]
    if len(bad) > LISTED:
        lines.append(f"\n  … and {len(bad) - LISTED} more")
    lists = " and ".join(str(folder / "bad_clips.csv") for folder in folders)
    return UserError(
        f"{len(bad)} of {clips} clips cannot be read:{''.join(lines)}\n"
        "Mend them and start again (the good work is kept; --download fetches what is missing of a "
        "public data set), or set [data] ON_BAD_AUDIO = skip to leave them out. The list is in "
        f"{lists}"
    )


def read_clips(settings: Config, download: bool, rank: int, world: int) -> list[Heard]:
    """The clips of [data] and the recordings that training cuts its clips out of, if it does;
    downloads where wanted.
    """
    from data.datasets import DATASETS
    from data.features.mel_cache import cache_folder, recordings_folder

    data = settings.data
    constructor = config.choose("[data] dataset", DATASETS, data.dataset)
    dataset = constructor(**config.constructor_options("[data]", data, constructor))
    if dataset.recording_seconds and data.on_bad_audio == "skip":
        found = "found 'skip', but REASSEMBLE wants every slice of a recording: want 'stop'"
        raise ConfigError("[data] on_bad_audio", found)
    root = Path(data.root or f"audio/{data.dataset}")
    if rank == 0 and (download or dataset.embedded):
        dataset.download(root)
    gather(None, world)  # the others wait for the download
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder; set [data] ROOT to where the recordings lie"
            + ("" if download else ", or fetch them with --download")
        )
    table, seconds = dataset.table(root), data.clip_seconds or dataset.clip_seconds
    heard = [Heard(table, seconds, dataset.stereo, cache_folder)]
    if whole := dataset.recording_seconds:
        heard.append(Heard(table.recordings(), whole, dataset.stereo, recordings_folder))
    return heard


def clip_shape(mel: Mel, clip_seconds: float) -> tuple[int, ...]:
    from data.features.front_end import FrontEnd

    shape = FrontEnd(mel).shape(round(clip_seconds * mel.sample_rate))
    if 0 in shape:
        raise ConfigError("[data] clip_seconds", f"{clip_seconds:g} s do not hold one mel frame")
    return shape


def transforming_device(wanted: str) -> str:
    """The GPU of [run] DEVICE, else the processor, whose cores each transform what they decoded."""
    from training.device import choose_device

    device = choose_device(wanted)
    return str(device) if device.type == "cuda" else "cpu"


# Processes ----------------------------------------------------------------------------------------


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_workers_early() -> BaseContext:
    """Where the system can, a server imports torch once, while we do, and forks the workers."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "soundfile", "soxr", "tqdm", "pandas"])
    forkserver.ensure_running()
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
    """Everyone's item, at everyone, once all are here."""
    if world == 1:
        return [item]
    import torch.distributed

    items = [None] * world
    torch.distributed.all_gather_object(items, item)
    return items


if __name__ == "__main__":
    config.run_script(
        main,
        config.script_parser(
            "Make the mel caches that config.ini asks for.",
            ("--download", "fetch the recordings first (a public data set)"),
        ),
    )
