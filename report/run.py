"""What a run's folder holds, read once: settings, results, histories, predictions and the truth."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from config import UserError, choose, constructor_options, load
from data.datasets import DATASETS
from data.features.mel_cache import MelCache, cache_folder
from data.tables.clips import ClipTable
from losses.mix import uses_teacher
from metrics import METRICS

TEACHER, STUDENT = "teacher", "student"


@dataclass(frozen=True, slots=True)
class System:
    """One role with one loss mix: a row of the table, a colour on the page."""

    role: str
    variant: str
    model: str
    look: int  # its colour, dash and marker: 0 is the teacher's

    @property
    def label(self) -> str:
        role, at, of_it = self.role.partition("@")
        return f"{self.variant}{at}{of_it}" if role == STUDENT else self.role


class Judged(NamedTuple):
    """What a system said of the reported clips, and the truth.

    rows (N,) in the clip table, probabilities (N, K), targets (N, K) bool.
    """

    rows: np.ndarray
    probabilities: np.ndarray
    targets: np.ndarray


class Run:
    """A finished run, or as much of one as there is. Raises UserError for a folder that is none."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.resolve().name
        for file in ("config.ini", "results.csv"):
            if not (folder / file).is_file():
                raise UserError(f"{folder}: no {file} in it; want a run that has been trained")
        self.config = load(folder / "config.ini")
        self.results = pd.read_csv(folder / "results.csv", keep_default_na=False, na_values=[""])
        kind = choose("[data] dataset", DATASETS, self.config.data.dataset)
        dataset = kind(**constructor_options("[data]", self.config.data, kind))
        self.metric: str = dataset.metric
        self.clip_seconds: float = self.config.data.clip_seconds or dataset.clip_seconds
        self.task = METRICS[self.metric].task
        self.higher_is_better = METRICS[self.metric].higher_is_better
        self.headline = self.results[self.results["metric"] == self.metric]
        if self.headline.empty:
            raise UserError(f"{folder / 'results.csv'}: no row of {self.metric}; train first")
        self.seeds = sorted(set(self.headline["seed"].tolist()))
        self.folds = sorted(set(self.headline["fold"].tolist()))
        self.systems = self._systems()
        if not self.pictured:
            raise UserError(f"{folder / 'results.csv'}: neither of a teacher nor of a student")
        self._caches: dict[Path, MelCache] = {}

    def _systems(self) -> list[System]:
        """The teacher, then the students from few losses to many, then whatever else there is."""
        found = self.headline[["role", "variant", "model"]].drop_duplicates()
        rank = {TEACHER: 0, STUDENT: 1}
        keys = sorted(
            found.itertuples(index=False, name=None),
            key=lambda key: (rank.get(key[0], 2), key[0], key[1].count("+")),
        )
        first = 0 if keys[0][0] == TEACHER else 1
        return [System(*key, look) for look, key in enumerate(keys, first)]

    @property
    def teacher(self) -> System | None:
        return next((s for s in self.systems if s.role == TEACHER), None)

    @property
    def students(self) -> list[System]:
        return [system for system in self.systems if system.role == STUDENT]

    @property
    def baseline(self) -> System | None:
        """The student that learns from labels alone."""
        return next((system for system in self.students if not uses_teacher(system.variant)), None)

    @property
    def best(self) -> System | None:
        """The distilled student with the best mean score; any student where none is distilled."""
        distilled = [system for system in self.students if uses_teacher(system.variant)]
        sign = 1 if self.higher_is_better else -1
        scores = {s: sign * self.scores(s)["value"].mean() for s in distilled or self.students}
        return max(scores, key=scores.__getitem__, default=None)

    @property
    def compared(self) -> list[System]:
        """Teacher, student of labels alone and best student, as far as they are there."""
        three = (self.teacher, self.baseline, self.best)
        return list(dict.fromkeys(system for system in three if system))

    @property
    def pictured(self) -> list[System]:
        """The systems whose models are drawn: teacher and students."""
        return [system for system in (self.teacher, *self.students) if system]

    def scores(self, system: System, metric: str = "") -> pd.DataFrame:
        """A row a seed and fold, of the headline or another metric."""
        rows = self.results[self.results["metric"] == metric] if metric else self.headline
        same = (rows["role"] == system.role) & (rows["variant"] == system.variant)
        return rows[same & (rows["model"] == system.model)]

    @cached_property
    def folders(self) -> dict[tuple[str, str, int, int], Path]:
        """(role, variant, seed, fold) -> the folder of that training."""
        found = {}
        for path in sorted(self.folder.glob("**/metrics.json")):
            try:
                metrics = json.loads(path.read_text())
                key = tuple(metrics[name] for name in ("role", "variant", "seed", "fold"))
            except (ValueError, KeyError) as error:
                raise UserError(f"{path}: not the metrics of a training ({error})") from None
            found[key] = path.parent
        return found

    def file(self, system: System, name: str, seed: int, fold: int) -> Path:
        """A file of one training. Raises UserError where there is none."""
        folder = self.folders.get((system.role, system.variant, seed, fold))
        if folder is None or not (folder / name).is_file():
            raise UserError(f"no {name} of {system.label}, seed {seed}, in {self.folder}")
        return folder / name

    def histories(self, system: System) -> list[pd.DataFrame]:
        """One a seed and fold; what has none (an ensemble) is left out."""
        paths = [
            folder / "history.csv"
            for key, folder in self.folders.items()
            if key[:2] == (system.role, system.variant)
        ]
        return [pd.read_csv(path) for path in paths if path.is_file()]

    @property
    def table(self) -> ClipTable:
        """The clips and their labels. Raises UserError where the features are gone."""
        return self.finest.table

    @property
    def finest(self) -> MelCache:
        return self.cache(self.finest_role)

    @property
    def finest_role(self) -> str:
        """Whose features the page shows: the teacher's, where there is one."""
        return TEACHER if self.teacher else STUDENT

    def cache(self, role: str) -> MelCache:
        folder = cache_folder(self.config, role)
        if folder not in self._caches:
            self._caches[folder] = MelCache.open(folder)
        return self._caches[folder]

    def features(self, role: str, row: int) -> np.ndarray:
        """What the role hears of a row of `table`, the mean over its channels: (T, F) float32."""
        cache = self.cache(role)
        place = cache.table.rows_of([self.table.ids[row]])
        return cache.gather(place)[0].float().mean(0).numpy()

    def judged(self, system: System, seed: int, folds: Sequence[int] = ()) -> Judged:
        """What it said with this seed, its folds together. Raises UserError."""
        parts = [self._judged(system, seed, fold) for fold in folds or self.folds]
        return Judged(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _judged(self, system: System, seed: int, fold: int) -> Judged:
        path = self.file(system, "predictions.csv", seed, fold)
        said = pd.read_csv(path, dtype={"audio_filename": str}, keep_default_na=False)
        rows = self.table.rows_of(said["audio_filename"].tolist())
        if (rows < 0).any() or list(said)[1:] != list(self.table.classes):
            raise UserError(f"{path}: of other clips or classes than the features")
        probabilities = said.iloc[:, 1:].to_numpy(np.float64)
        return Judged(rows, probabilities, self.table.targets[rows] >= 0.5)

    @cached_property
    def origin(self) -> dict[str, str]:
        """The commit and the versions that it was trained with: the comments of its config.ini."""
        text = (self.folder / "config.ini").read_text("utf-8")
        return dict(re.findall(r"^# (\S+) (\S+)$", text, re.MULTILINE))

    @property
    def first(self) -> tuple[int, int]:
        """The seed and fold whose models are drawn."""
        return self.seeds[0], self.folds[0]

    @property
    def first_in_words(self) -> str:
        seed, fold = self.first
        return f"seed {seed}, fold {fold}" if fold else f"seed {seed}"
