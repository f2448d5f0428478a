"""make_mel compared with librosa on one core, and with decoding and resampling only.

    python -m benchmarks.make_mel

200 synthesised WAV files of ten seconds, 44.1 kHz, 16 bits; two front ends, 64 and 20 bands at
16 kHz. Three contenders alternate:

- ours, on two cores: make_mel.py from its list of clips to two caches, flushed to the disk;
- the floor, on two cores: the same files decoded and resampled to 16 kHz with the same libraries in
  the same chunks, and discarded;
- librosa, on one core: for each file `librosa.load` at 16 kHz, once, then
  `librosa.feature.melspectrogram`, the logarithm and `numpy.save` for each of the two front ends.

The time excludes start-up: all processes have imported their libraries and processed a clip before.
The `whole command` rows are the full commands with start-up, of our script and of
`benchmarks.librosa_mels`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.librosa_mels import librosa_all
from benchmarks.measure import alternate, command_line, keep_cores, medians, report
from config import Mel
from data.datasets import DATASETS
from data.features.cache_writer import CacheWriter, stamps_of
from data.features.decode import decode
from data.features.extract import CHUNK, extract, worker_pool
from data.features.front_end import FrontEnd
from data.tables.clips import ClipTable

ROOT = Path(__file__).parents[1]
RATE, SECONDS = 44_100, 10
FRONT_ENDS = (Mel(num_bands=64), Mel(num_bands=20))
CONFIG = """[data]
DATASET = csv_folder
ROOT = sounds
CLIP_SECONDS = 10
[mel]
NUM_BANDS_TEACHER = 64
NUM_BANDS_STUDENT = 20
[run]
DEVICE = cpu
"""


def synthesise(folder: Path, clips: int) -> None:
    """Chirps in noise, with their csv_folder table and config.ini."""
    import soundfile

    (folder / "sounds").mkdir()
    generator = np.random.default_rng(0)
    time = np.arange(RATE * SECONDS) / RATE
    lines = ["filename,label,split"]
    for n in range(clips):
        low, rise = generator.uniform(100, 4000), generator.uniform(-5, 300)
        wave = 0.3 * np.sin(2 * np.pi * (low + rise * time) * time)
        wave += 0.05 * generator.standard_normal(len(time))
        soundfile.write(folder / "sounds" / f"{n:04d}.wav", wave, RATE, subtype="PCM_16")
        lines.append(f"{n:04d}.wav,{'ab'[n % 2]},{'train' if n % 5 else 'test'}")
    (folder / "sounds" / "clips.csv").write_text("\n".join(lines) + "\n")
    (folder / "config.ini").write_text(CONFIG)


def make_caches(folder: Path, table: ClipTable, pool: Executor) -> None:
    stamps = stamps_of(table.columns["path"])
    caches = []
    for mel in FRONT_ENDS:
        shape = FrontEnd(mel).shape(SECONDS * mel.sample_rate)
        caches.append(CacheWriter(folder / str(mel.num_bands), mel, shape, table, stamps))
    _, bad = extract(caches, SECONDS, workers=2, pool=pool)
    assert not bad
    for cache in caches:
        cache.finalise()


def decode_all(paths: list[str]) -> None:
    for path in paths:
        decode(Path(path), 16_000)


def exhaust(results: Iterable[None]) -> None:
    for _ in results:
        pass


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the started processes: each has one core
    keep_cores(2)
    context = get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="soundstill_") as name,
        worker_pool(FRONT_ENDS, SECONDS, 2, context) as ours,
        ProcessPoolExecutor(2, context) as floor,
        ProcessPoolExecutor(1, context, keep_cores, (1,)) as one,
    ):
        folder = Path(name)
        synthesise(folder, arguments.clips)
        table = DATASETS["csv_folder"]().table(folder / "sounds")
        paths = table.columns["path"][:].tolist()
        chunks = [paths[k : k + CHUNK] for k in range(0, len(paths), CHUNK)]
        (folder / "librosa").mkdir()

        def our_command(out: Path) -> None:
            command = [sys.executable, str(ROOT / "make_mel.py")]
            subprocess.run(command, cwd=out, check=True, capture_output=True)
            shutil.rmtree(out / "features")

        def librosa_command() -> None:
            run = [sys.executable, "-m", "benchmarks.librosa_mels", str(folder / "librosa"), *paths]
            subprocess.run(run, cwd=ROOT, check=True, capture_output=True)

        turn = iter(range(10**6))
        contenders = {
            "ours, 2 cores": lambda: make_caches(folder / f"ours_{next(turn)}", table, ours),
            "decode and resample, 2 cores": lambda: exhaust(floor.map(decode_all, chunks)),
            "librosa, 1 core": lambda: one.submit(librosa_all, paths, folder / "librosa").result(),
        }
        warm = table.take(slice(0, 2 * CHUNK))
        make_caches(folder / "warm", warm, ours)
        exhaust(floor.map(decode_all, [paths[:2]] * 4))
        one.submit(librosa_all, paths[:2], folder / "librosa").result()
        seconds = medians(alternate(contenders, arguments.rounds))
        commands = {
            "ours, whole command": lambda: our_command(folder),
            "librosa, whole command": librosa_command,
        }
        seconds |= medians(alternate(commands, 2))
    made = seconds["ours, 2 cores"]
    report(
        "make_mel",
        arguments,
        ("contender", "seconds", "clips per second", "relative to ours"),
        [(who, value, arguments.clips / value, value / made) for who, value in seconds.items()],
        {
            "clips_per_second": arguments.clips / made,
            "ratio_to_librosa": seconds["librosa, 1 core"] / made,
            "ratio_to_decode_floor": made / seconds["decode and resample, 2 cores"],
            "command_ratio_to_librosa": seconds["librosa, whole command"]
            / seconds["ours, whole command"],
            "clips": arguments.clips,
        },
    )


if __name__ == "__main__":
    main()
