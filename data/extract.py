"""Recordings -> shards of features, on all cores: each recording is decoded once for all front ends."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from config import Mel, UserError
from data.decode import BadAudio, convert, read
from data.front_end import FrontEnd
from data.mel_cache import LARGEST, BadClip, CacheWriter, write_rows

CHUNK = 16  # clips that a worker is given at a time
TOGETHER = 4  # clips that are transformed at a time: a few megabytes, which stay in a core's cache


class Target(NamedTuple):
    """Where the features of a chunk go: the front end's number, the file of a shard and a byte in it."""

    front_end: int
    part: Path
    offset: int


class Chunk(NamedTuple):
    """A few neighbouring rows of the clip table, and the shards that lack them."""

    row: int
    clips: list[tuple[str, float, float]]  # path, start_seconds, seconds (NaN: to the end)
    targets: list[Target]


class Extractor:
    """Decodes the clips of a chunk, transforms them for each front end and writes them into the shards."""

    def __init__(self, settings: Sequence[Mel], clip_seconds: float) -> None:
        torch.set_num_threads(
            1
        )  # the processes are the parallelism; and the bits do not depend on it
        self.front_ends = [FrontEnd(mel) for mel in settings]
        self.clip_seconds = clip_seconds

    @torch.inference_mode()
    def __call__(self, chunk: Chunk) -> dict[int, str]:
        """The reason why a clip is bad, by its place in the chunk. A bad clip's features are of silence."""
        wanted = {source(self.front_ends[target.front_end].settings) for target in chunk.targets}
        waveforms, lengths, bad = self.decode(chunk, wanted)
        spectra: dict[Mel, list[Tensor]] = {}
        for target in chunk.targets:
            front_end = self.front_ends[target.front_end]
            batch = waveforms[source(front_end.settings)].split(TOGETHER)
            if front_end.settings.front_end == "waveform":
                features = [front_end(part) for part in batch]
            else:
                kind = spectrum_settings(front_end.settings)
                if kind not in spectra:
                    spectra[kind] = [front_end.spectrum(part) for part in batch]
                real = lengths[source(front_end.settings)].split(TOGETHER)
                features = map(front_end.log_mel, spectra[kind], real)
            features = torch.cat(list(features))
            largest = features.flatten(1).abs().amax(1)
            for place in torch.nonzero(~(largest <= LARGEST)).flatten().tolist():
                bad[place] = f"its features reach {largest[place]:g}, beyond what float16 holds"
            write_rows(target.part, target.offset, features.half())
        return bad

    def decode(
        self, chunk: Chunk, wanted: set[tuple[int, int]]
    ) -> tuple[dict[tuple[int, int], Tensor], dict[tuple[int, int], Tensor], dict[int, str]]:
        """Waveforms (n, C, S) and their lengths before padding, for each (sample rate, channels)."""
        count, waveforms, lengths, bad = len(chunk.clips), {}, {}, {}
        for rate, channels in wanted:
            samples = round(self.clip_seconds * rate)
            waveforms[rate, channels] = torch.zeros(count, channels, samples)
            lengths[rate, channels] = torch.zeros(count, dtype=torch.long)
        for place, (path, start, seconds) in enumerate(chunk.clips):
            stretch = self.clip_seconds if seconds != seconds else min(seconds, self.clip_seconds)
            try:
                recording, own_rate = read(Path(path), start, stretch)
            except BadAudio as error:
                bad[place] = error.reason
                continue
            for rate, channels in wanted:
                samples = torch.from_numpy(convert(recording, own_rate, rate, channels))
                samples = samples[:, : waveforms[rate, channels].shape[-1]]
                waveforms[rate, channels][place, :, : samples.shape[-1]] = samples
                lengths[rate, channels][place] = samples.shape[-1]
        return waveforms, lengths, bad


def source(settings: Mel) -> tuple[int, int]:
    return settings.sample_rate, settings.channels


def spectrum_settings(settings: Mel) -> Mel:
    """The settings with all that follows the spectrum at its default: front ends with equal ones share it."""
    default = Mel()
    later = ("num_bands", "mel_scale", "log", "log_offset", "padding", "normalise")
    edges = {"mel_min_hz": 0.0, "mel_max_hz": settings.sample_rate / 2}
    return replace(settings, **edges, **{name: getattr(default, name) for name in later})


def extract(
    caches: Sequence[CacheWriter],
    clip_seconds: float,
    *,
    strict: bool = True,
    workers: int = 1,
    context: BaseContext | None = None,
    rank: int = 0,
    world: int = 1,
    show: bool = False,
) -> tuple[int, list[BadClip]]:
    """Make the shards that the caches, all of one clip table, lack: how many clips were read, and the bad ones.

    A shard with a bad clip is left unmade where `strict`, and otherwise made without it. Process `rank` of
    `world` makes every world-th group of shards. Raises UserError for a full disk; finished shards stay.
    """
    table = caches[0].table
    step = min(CHUNK, *(cache.shard_clips for cache in caches))
    group = max(cache.shard_clips for cache in caches)
    mine = [row for row in range(0, len(table), step) if row // group % world == rank]
    stale = [
        stale_shards(cache, {row // cache.shard_clips for row in mine}, strict) for cache in caches
    ]
    mine = [
        row
        for row in mine
        if any(row // cache.shard_clips in s for cache, s in zip(caches, stale, strict=True))
    ]
    if not mine:
        return 0, []
    check_space(caches, stale)
    columns = [table.frame[name].to_numpy() for name in ("path", "start_seconds", "seconds")]
    begun: dict[tuple[int, int], tuple[Path, int]] = {}
    left: dict[tuple[int, int], int] = {}
    bad: dict[tuple[int, int], list[BadClip]] = {}

    def chunks() -> Iterator[Chunk]:
        for row in mine:
            targets = []
            for number, cache in enumerate(caches):
                shard, place = divmod(row, cache.shard_clips)
                if shard not in stale[number]:
                    continue
                if place == 0:
                    begun[number, shard] = cache.begin(shard)
                    left[number, shard], bad[number, shard] = len(cache.rows(shard)), []
                part, start = begun[number, shard]
                targets.append(Target(number, part, start + place * cache.clip_bytes))
            clips = [column[row : row + step].tolist() for column in columns]
            yield Chunk(row, list(zip(*clips, strict=True)), targets)

    settings = [cache.settings for cache in caches]
    found: dict[str, BadClip] = {}
    clips_read = 0
    bar = tqdm(
        total=sum(min(step, len(table) - row) for row in mine), unit="clip", disable=not show
    )
    try:
        with bar:
            for chunk, reasons in run(chunks(), settings, clip_seconds, workers, context):
                clips = [
                    BadClip(table.ids[chunk.row + place], chunk.clips[place][0], reason)
                    for place, reason in sorted(reasons.items())
                ]
                found |= {clip.id: clip for clip in clips}
                for target in chunk.targets:
                    cache = caches[target.front_end]
                    shard = chunk.row // cache.shard_clips
                    key = target.front_end, shard
                    left[key] -= len(chunk.clips)
                    bad[key] += clips
                    if left[key]:
                        continue
                    if strict and bad[key]:
                        cache.discard(shard)
                    else:
                        cache.finish(shard, bad[key])
                clips_read += len(chunk.clips)
                bar.update(len(chunk.clips))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        for number, shard in begun:
            caches[number].discard(shard)
        raise UserError(
            f"{caches[0].folder.parent}: the disk is full; what is finished stays: make room and start again"
        ) from error
    return clips_read, [found[name] for name in sorted(found)]


def stale_shards(cache: CacheWriter, shards: set[int], strict: bool) -> set[int]:
    def usable(shard: int) -> bool:
        described = cache.finished(shard)
        return described is not None and not (strict and described["bad"])

    return {shard for shard in shards if not usable(shard)}


def check_space(caches: Sequence[CacheWriter], stale: Sequence[set[int]]) -> None:
    wanted = sum(
        len(cache.rows(shard)) * cache.clip_bytes
        for cache, shards in zip(caches, stale, strict=True)
        for shard in shards
    )
    folder = caches[0].folder
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise UserError(
            f"{folder.parent}: {wanted / 1e9:.2f} GB of features are to be made, "
            f"{free / 1e9:.2f} GB of disk are free"
        )


# Processes -------------------------------------------------------------------------------------------------------


def run(
    chunks: Iterable[Chunk],
    settings: Sequence[Mel],
    clip_seconds: float,
    workers: int,
    context: BaseContext | None,
) -> Iterator[tuple[Chunk, dict[int, str]]]:
    """Each chunk with its bad clips, as they are done; a few chunks a worker are under way at any time."""
    if workers == 1:
        extractor = Extractor(settings, clip_seconds)
        yield from ((chunk, extractor(chunk)) for chunk in chunks)
        return
    chunks, under_way = iter(chunks), {}
    with ProcessPoolExecutor(workers, context, start_worker, (settings, clip_seconds)) as pool:
        while True:
            for chunk in islice(chunks, 4 * workers - len(under_way)):
                under_way[pool.submit(work, chunk)] = chunk
            if not under_way:
                return
            for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                try:
                    yield under_way.pop(done), done.result()
                except BrokenProcessPool:
                    raise UserError(
                        "a worker process was killed, perhaps for memory: start again with a smaller run.workers"
                    ) from None


def start_worker(settings: Sequence[Mel], clip_seconds: float) -> None:
    global extractor
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    threading.Thread(target=end_with_parent, daemon=True).start()
    extractor = Extractor(settings, clip_seconds)


def end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    wait_for([multiprocessing.parent_process().sentinel])
    os._exit(1)


def work(chunk: Chunk) -> dict[int, str]:
    return extractor(chunk)
