"""A cache in memory: twelve clips a class that a small model can tell apart, in two front ends; and
a folder for tiny runs.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from config import Mel
from data.loading.batches import ClipFeatures
from data.tables.clips import Clip, ClipTable
from tests.memory_cache import memory_cache
from tests.training.tiny_runs import write_caches

CLASSES = ("low", "high")
CLIPS = 24


def two_classes(bands: int) -> SimpleNamespace:
    generator = np.random.default_rng(bands)
    clips = [
        Clip(id=f"{n:02d}", path=Path(f"{n}.wav"), labels={CLASSES[n % 2]: 1.0}, group=f"g{n // 4}")
        for n in range(CLIPS)
    ]
    table = ClipTable.of(clips, CLASSES, "single_label")
    features = generator.normal(size=(CLIPS, 1, 16, bands)).astype(np.float16)
    for n in range(CLIPS):
        half = slice(0, bands // 2) if n % 2 == 0 else slice(bands // 2, bands)
        features[n, :, :, half] += 2
    return memory_cache(table, torch.as_tensor(features), Mel(num_bands=bands))


@pytest.fixture
def views():
    caches = {"teacher": two_classes(16), "student": two_classes(8)}
    ids = caches["teacher"].table.ids
    return {role: ClipFeatures(c, ids, torch.device("cpu"), 1.0) for role, c in caches.items()}


@pytest.fixture
def targets(views):
    return torch.as_tensor(views["student"].cache.table.targets[:])


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working folder, with the features of a tiny run."""
    monkeypatch.chdir(tmp_path)
    write_caches()
    return tmp_path
