"""The plain script that `benchmarks.make_mel` compares with: librosa, clip by clip, on one core.

    python -m benchmarks.librosa_mels OUT RECORDING...

It imports nothing else that takes long, so that its start-up is librosa's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from benchmarks.measure import keep_cores


def librosa_all(paths: list[str], folder: Path) -> None:
    """As a simple script that processes one clip after another."""
    import librosa

    for path in paths:
        samples, rate = librosa.load(path, sr=16_000)
        for bands in (64, 20):
            mel = librosa.feature.melspectrogram(
                y=samples,
                sr=rate,
                n_fft=512,
                win_length=400,
                hop_length=160,
                center=False,
                power=1.0,
                n_mels=bands,
                fmin=125,
                fmax=7_500,
                htk=True,
                norm=None,
            )
            np.save(folder / f"{Path(path).stem}_{bands}.npy", np.log(mel + 0.01).T)


if __name__ == "__main__":
    keep_cores(1)
    librosa_all(sys.argv[2:], Path(sys.argv[1]))
