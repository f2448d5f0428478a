"""Recordings -> shards of features, on all cores; each recording is decoded once for all roles."""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from itertools import islice
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from config import Mel, UserError
from data.atomic_write import DISK_FULL
from data.features.cache_writer import BadClip, CacheWriter, write_rows
from data.features.decode import BadAudio, convert, read, read_concatenated
from data.features.front_end import FrontEnd
from data.features.mel_cache import NORMALISATION
from data.progress import progress
from data.tables.clips import files_of

CHUNK = 16  # clips per task of a worker
TRANSFORM_BATCH = 2  # clips that are transformed at a time: few enough for a core's cache
LARGEST = float(np.finfo(np.float16).max)

Source = tuple[int, int]  # sample rate in Hz, channels


class Target(NamedTuple):
    """Where the features of a chunk are written: front end, file of a shard, byte offset."""

    cache: int
    part: Path
    offset: int


class Chunk(NamedTuple):
    """A few neighbouring rows of the clip table, and the shards to write them to."""

    row: int
    clips: list[tuple[str, float, float]]  # path(s), start_seconds, seconds (NaN: to the end)
    targets: list[Target]


class Extractor:
    """Decodes a chunk, transforms it for each front end and writes it into the shards.

    On one thread: the work is parallel over processes, and the bits do not depend on their number.
    Decoding runs on the CPU, the transform on `device`. `stereo`: a mono recording is bad where a
    front end has two channels; otherwise it is copied to both.
    """

    def __init__(
        self,
        settings: Sequence[Mel],
        clip_seconds: float,
        device: str = "cpu",
        stereo: bool = False,
    ) -> None:
        torch.set_num_threads(1)
        self.stereo = stereo
        self.front_ends = [FrontEnd(mel).to(device) for mel in settings]
        self.clip_seconds, self.device = clip_seconds, device
        self.batch_size = TRANSFORM_BATCH if device == "cpu" else CHUNK

    @torch.inference_mode()
    def __call__(self, chunk: Chunk) -> dict[int, str]:
        """The reasons of the bad clips, by their place in the chunk; silence replaces them."""
        sources = {source(self.front_ends[target.cache].settings) for target in chunk.targets}
        waveforms, lengths, bad = self.decode(chunk, sources)
        spectra: dict[tuple[Any, ...], list[Tensor]] = {}
        for cache, part, offset in chunk.targets:
            front_end = self.front_ends[cache]
            settings = front_end.settings
            batches = waveforms[source(settings)].to(self.device).split(self.batch_size)
            if settings.front_end == "waveform":
                features = torch.cat([front_end(batch) for batch in batches])
            else:
                key = spectrum_key(settings)
                if key not in spectra:
                    spectra[key] = [front_end.spectrum(batch) for batch in batches]
                real = lengths[source(settings)].split(self.batch_size)
                features = torch.cat(list(map(front_end.log_mel, spectra[key], real)))
            for place, largest in enumerate(features.flatten(1).abs().amax(1).tolist()):
                if not largest <= LARGEST:
                    bad[place] = f"its features reach {largest:g}, float16 holds {LARGEST:g}"
            write_rows(part, offset, features.half().cpu())
        return bad

    def decode(
        self, chunk: Chunk, sources: set[Source]
    ) -> tuple[dict[Source, Tensor], dict[Source, Tensor], dict[int, str]]:
        """Waveforms (n, C, S), their lengths (n,) before padding, and the reasons of bad clips."""
        count, bad = len(chunk.clips), {}
        waveforms = {
            (rate, channels): torch.zeros(count, channels, round(self.clip_seconds * rate))
            for rate, channels in sources
        }
        lengths = {kind: torch.zeros(count, dtype=torch.long) for kind in sources}
        for place, (path, start, seconds) in enumerate(chunk.clips):
            duration = min(self.clip_seconds, math.inf if math.isnan(seconds) else seconds)
            files = files_of(path)
            try:
                recording, own_rate = (
                    read_concatenated(files) if len(files) > 1 else read(files[0], start, duration)
                )
            except BadAudio as error:
                bad[place] = error.reason
                continue
            if self.stereo and recording.shape[1] < max(channels for _, channels in sources):
                bad[place] = "it is mono, this data set is stereo and [mel] CHANNELS is 2"
                continue
            for kind in sources:
                converted = torch.from_numpy(convert(recording, own_rate, *kind))
                samples = converted[:, : waveforms[kind].shape[-1]]
                waveforms[kind][place, :, : samples.shape[-1]] = samples
                lengths[kind][place] = samples.shape[-1]
        return waveforms, lengths, bad


def source(settings: Mel) -> Source:
    return settings.sample_rate, settings.channels


def spectrum_key(settings: Mel) -> tuple[Any, ...]:
    """Equal for front ends that differ only after the spectrum, and so share it."""
    bands = ("num_bands", "mel_min_hz", "mel_max_hz", "mel_scale")
    later = (*bands, "log", "log_offset", "log_floor", "top_db", "padding", *NORMALISATION)
    return tuple(value for name, value in asdict(settings).items() if name not in later)


def extract(
    caches: Sequence[CacheWriter],
    clip_seconds: float,
    *,
    strict: bool = True,
    workers: int = 1,
    context: BaseContext | None = None,
    pool: Executor | None = None,
    device: str = "cpu",
    stereo: bool = False,
    rank: int = 0,
    world: int = 1,
    show: bool = False,
) -> tuple[int, list[BadClip]]:
    """Compute the missing shards of caches of one clip table: (number of clips read, bad clips).

    A shard with a bad clip is not written where `strict`, and else written without it. The
    processes are those of `pool`, a `worker_pool` that keeps running afterwards, or are started
    here. They compute the features on `device`; `stereo` is the data set's, see Extractor. Process
    `rank` of `world` computes every world-th group of shards.
    Raises UserError for a full disk and a worker that was killed; finished shards are kept.
    """
    table = caches[0].table
    work = Work(caches, strict, rank, world)
    if not work.rows:
        return 0, []
    check_space(caches, work.stale)
    settings = [cache.settings for cache in caches]
    if workers == 1:
        results = run_here(work.chunks(), Extractor(settings, clip_seconds, device, stereo))
    else:
        new = (settings, clip_seconds, workers, context, device, stereo)
        pools = nullcontext(pool) if pool else worker_pool(*new)
        results = run_in(pools, work.chunks(), workers)
    bad: set[BadClip] = set()
    total = sum(min(work.step, len(table) - row) for row in work.rows)
    try:
        with progress("computing features", total, shown=show) as bar:
            for chunk, reasons in results:
                clips = [
                    BadClip(str(table.ids[chunk.row + place]), chunk.clips[place][0], reason)
                    for place, reason in reasons.items()
                ]
                bad.update(clips)
                work.done(chunk, clips)
                bar.update(len(chunk.clips))
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        work.discard()
        raise UserError(
            f"{caches[0].folder.parent}: the disk is full; free some space and start again, "
            "finished shards are kept"
        ) from error
    return total, sorted(bad)


class Work:
    """The shards that this process computes, and how many clips each still lacks."""

    def __init__(
        self, caches: Sequence[CacheWriter], strict: bool, rank: int = 0, world: int = 1
    ) -> None:
        self.caches, self.strict = caches, strict
        self.table = caches[0].table
        self.step = min(CHUNK, *(cache.shard_clips for cache in caches))
        group = max(cache.shard_clips for cache in caches)
        own = [row for row in range(0, len(self.table), self.step) if row // group % world == rank]
        self.stale = [
            self.stale_in(cache, sorted({row // cache.shard_clips for row in own}))
            for cache in caches
        ]
        self.rows = [row for row in own if self.shards_at(row)]
        self.parts: dict[tuple[int, int], tuple[Path, int]] = {}
        self.left: dict[tuple[int, int], int] = {}
        self.bad: dict[tuple[int, int], list[BadClip]] = {}

    def stale_in(self, cache: CacheWriter, shards: Sequence[int]) -> set[int]:
        """Those of `shards` to compute; the others are read on several cores, to be sure."""
        with ThreadPoolExecutor() as pool:
            found = zip(shards, pool.map(cache.undamaged, shards), strict=True)
            return {
                shard
                for shard, described in found
                if described is None or (self.strict and described["bad"])
            }

    def shards_at(self, row: int) -> list[tuple[int, int]]:
        """(cache, shard) of the shards to compute that contain a row."""
        numbers = ((k, row // cache.shard_clips) for k, cache in enumerate(self.caches))
        return [(k, shard) for k, shard in numbers if shard in self.stale[k]]

    def chunks(self) -> Iterator[Chunk]:
        columns = [self.table.columns[name] for name in ("path", "start_seconds", "seconds")]
        for row in self.rows:
            targets = []
            for k, shard in self.shards_at(row):
                cache = self.caches[k]
                rows = cache.rows(shard)
                if row == rows.start:
                    self.parts[k, shard] = cache.begin(shard)
                    self.left[k, shard], self.bad[k, shard] = len(rows), []
                part, start = self.parts[k, shard]
                targets.append(Target(k, part, start + (row - rows.start) * cache.clip_bytes))
            clips = [column[row : row + self.step].tolist() for column in columns]
            yield Chunk(row, list(zip(*clips, strict=True)), targets)

    def done(self, chunk: Chunk, bad: list[BadClip]) -> None:
        for k, shard in self.shards_at(chunk.row):
            self.left[k, shard] -= len(chunk.clips)
            self.bad[k, shard] += bad
            if self.left[k, shard] == 0:
                if self.strict and self.bad[k, shard]:
                    self.caches[k].discard(shard)
                else:
                    self.caches[k].finish(shard, self.bad[k, shard])

    def discard(self) -> None:
        for k, shard in self.parts:
            self.caches[k].discard(shard)


def check_space(caches: Sequence[CacheWriter], stale: Sequence[set[int]]) -> None:
    folder = caches[0].folder.parent
    needed = sum(
        len(cache.rows(shard)) * cache.clip_bytes
        for cache, shards in zip(caches, stale, strict=True)
        for shard in shards
    )
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder}: the features need {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free"
        )


# Processes ----------------------------------------------------------------------------------------


Results = Iterator[tuple[Chunk, dict[int, str]]]  # each chunk and its bad clips, in any order


def run_here(chunks: Iterable[Chunk], extractor: Extractor) -> Results:
    yield from ((chunk, extractor(chunk)) for chunk in chunks)


def run_in(
    pools: AbstractContextManager[Executor], chunks: Iterable[Chunk], workers: int
) -> Results:
    """A few chunks per worker are submitted at a time."""
    chunks = iter(chunks)
    pending: dict[Future[dict[int, str]], Chunk] = {}
    with pools as pool:
        while True:
            for chunk in islice(chunks, 4 * workers - len(pending)):
                pending[pool.submit(extract_chunk, chunk)] = chunk
            if not pending:
                return
            for done in wait(pending, return_when=FIRST_COMPLETED).done:
                try:
                    yield pending.pop(done), done.result()
                except BrokenProcessPool:
                    raise UserError(
                        "a worker process was killed, perhaps for lack of memory: "
                        "start again, with a smaller [run] WORKERS"
                    ) from None


def worker_pool(
    settings: Sequence[Mel],
    clip_seconds: float,
    workers: int,
    context: BaseContext | None = None,
    device: str = "cpu",
    stereo: bool = False,
) -> Executor:
    """Processes that extract chunks for these front ends."""
    arguments = (settings, clip_seconds, device, stereo)
    return ProcessPoolExecutor(workers, context, start_worker, arguments)


extractor: Extractor  # of a worker process, see start_worker


def start_worker(settings: Sequence[Mel], clip_seconds: float, device: str, stereo: bool) -> None:
    global extractor
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it
    threading.Thread(target=end_with_parent, daemon=True).start()
    extractor = Extractor(settings, clip_seconds, device, stereo)


def end_with_parent() -> None:
    """Otherwise a worker whose parent was killed waits for work forever."""
    if parent := multiprocessing.parent_process():
        wait_for([parent.sentinel])
        os._exit(1)


def extract_chunk(chunk: Chunk) -> dict[int, str]:
    return extractor(chunk)
