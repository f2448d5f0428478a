"""A run folder: its settings, results, histories, predictions and labels, each read once."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from config import Config, UserError, load
from data.checksums import check_files, read_record
from data.datasets import build_dataset
from data.features.mel_cache import MelCache, cache_folder
from data.tables.clips import ClipTable
from data.tables.splits import units_of
from losses.mix import uses_teacher
from metrics import METRICS
from metrics.inputs import decisions
from report.choice import Choice, choose_variant
from report.table import measured

TEACHER, STUDENT = "teacher", "student"


@dataclass(frozen=True, slots=True)
class System:
    """One role with one variant: a row of the table, a colour on the page."""

    role: str
    variant: str
    model: str
    look: int  # its colour: 0 is the teacher's; a student has one colour in all precisions

    @property
    def label(self) -> str:
        role, at, precision = self.role.partition("@")
        return f"{self.variant}{at}{precision}" if role == STUDENT else self.role

    @property
    def precision(self) -> str:
        """float32, or what follows @ in the role: float16, int8, or another way to predict."""
        return self.role.partition("@")[2] or "float32"


class Predictions(NamedTuple):
    """Of a system, for the test clips, with their labels.

    rows (N,) in the clip table, probabilities (N, K), targets (N, K) bool.
    """

    rows: np.ndarray
    probabilities: np.ndarray
    targets: np.ndarray


class Run:
    """A run, finished or not. Raises UserError for a folder without settings or results.

    `own`: see `models.stored.read_model`.
    """

    def __init__(self, folder: Path, own: Collection[str] = ()) -> None:
        self.folder, self.name, self.own = folder, folder.resolve().name, own
        for file in ("config.ini", "results.csv"):
            if not (folder / file).is_file():
                raise UserError(f"{folder}: no {file}; is it the folder of a trained run?")
        self.config = load(folder / "config.ini")
        self.results = with_teachers(
            read_results(folder / "results.csv"), self.config, folder.resolve().parent
        )
        dataset = build_dataset(self.config.data)
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
            raise UserError(f"{folder / 'results.csv'}: no row of a teacher or a student")
        self._caches: dict[Path, MelCache] = {}
        self._groups: dict[bytes, np.ndarray] = {}

    def _systems(self) -> list[System]:
        """The teacher, then the students from few losses to many, then all others."""
        found = self.headline[["role", "variant", "model"]].drop_duplicates()
        rank = {TEACHER: 0, STUDENT: 1}
        keys = sorted(
            found.itertuples(index=False, name=None),
            key=lambda key: (rank.get(key[0], 2), key[0], key[1].count("+")),
        )
        looks: dict[tuple[str, str], int] = {}
        for role, variant, _ in keys:
            first = 0 if keys[0][0] == TEACHER else 1
            looks.setdefault((role.partition("@")[0], variant), first + len(looks))
        return [
            System(role, variant, model, looks[role.partition("@")[0], variant])
            for role, variant, model in keys
        ]

    @property
    def measured(self) -> str:
        """The metric in words: that it is an agreement where the test clips have no labels."""
        return measured(self.results, self.metric)

    @property
    def teacher(self) -> System | None:
        return next((s for s in self.systems if s.role == TEACHER), None)

    @property
    def students(self) -> list[System]:
        return [system for system in self.systems if system.role == STUDENT]

    @property
    def baseline(self) -> System | None:
        """The student trained with labels only."""
        return next((system for system in self.students if not uses_teacher(system.variant)), None)

    @cached_property
    def choice(self) -> Choice | None:
        """The variant to show first, chosen on validation; None without students."""
        return self._choose([system.variant for system in self.students])

    @property
    def best(self) -> System | None:
        """The student of `choice`."""
        return self._student(self.choice)

    @property
    def distilled(self) -> System | None:
        """The distilled student chosen on validation; `best` where none is distilled."""
        variants = [s.variant for s in self.students if uses_teacher(s.variant)]
        return self._student(self._choose(variants)) or self.best

    @property
    def baseline_and_distilled(self) -> tuple[System, System] | None:
        """The students that show what distillation changed; None without one of the two."""
        base, distilled = self.baseline, self.distilled
        return (base, distilled) if base and distilled and base != distilled else None

    def _choose(self, variants: Sequence[str]) -> Choice | None:
        """In the order of VARIANTS, as export_student.py does."""
        ordered = [variant for variant in self.config.distillation.variants if variant in variants]
        ordered = ordered or list(variants)
        return choose_variant(self.folder, ordered) if ordered else None

    def _student(self, choice: Choice | None) -> System | None:
        return next((s for s in self.students if choice and s.variant == choice.variant), None)

    @property
    def compared(self) -> list[System]:
        """Teacher, student trained with labels only and distilled student, those that exist."""
        three = (self.teacher, self.baseline, self.distilled)
        return list(dict.fromkeys(system for system in three if system))

    @property
    def pictured(self) -> list[System]:
        """The systems whose models are drawn: teacher and students."""
        return [system for system in (self.teacher, *self.students) if system]

    @cached_property
    def date(self) -> date:
        """The day on which its last training finished."""
        files = [*self.folder.glob("**/metrics.json"), self.folder / "results.csv"]
        return date.fromtimestamp(max(path.stat().st_mtime for path in files[:-1] or files))

    def scores(self, system: System, metric: str = "") -> pd.DataFrame:
        """One row per seed and fold, of the headline or another metric."""
        rows = self.results[self.results["metric"] == metric] if metric else self.headline
        same = (rows["role"] == system.role) & (rows["variant"] == system.variant)
        return rows[same & (rows["model"] == system.model)]

    @cached_property
    def folders(self) -> dict[tuple[str, str, int, int], Path]:
        """(role, variant, seed, fold) -> the folder of that training, of this run or, for its
        teachers, of TEACHER_RUN.
        """
        shared, found = self.config.run.of_teachers, trainings(self.folder)
        if shared == self.config.run.name:
            return found
        of_teachers = trainings(self.folder.resolve().with_name(shared)).items()
        return {key: path for key, path in found.items() if not serves(key[0], self.config)} | {
            key: path
            for key, path in of_teachers
            if serves(key[0], self.config) and key[2] in self.seeds and key[3] in self.folds
        }

    def file(self, system: System, name: str, seed: int, fold: int) -> Path:
        """A file of one training. Raises UserError where there is none, or it is damaged."""
        folder = self.folders.get((system.role, system.variant, seed, fold))
        if folder is None or not (folder / name).is_file():
            raise UserError(f"no {name} of {system.label}, seed {seed}, in {self.folder}")
        return intact(folder / name)

    def histories(self, system: System) -> list[pd.DataFrame]:
        """One per seed and fold; ensembles have none."""
        paths = [
            folder / "history.csv"
            for key, folder in self.folders.items()
            if key[:2] == (system.role, system.variant)
        ]
        return [pd.read_csv(intact(path)) for path in paths if path.is_file()]

    @property
    def table(self) -> ClipTable:
        """The clips and their labels. Raises UserError where the features are missing."""
        return self.finest.table

    @property
    def finest(self) -> MelCache:
        return self.cache(self.finest_role)

    @property
    def finest_role(self) -> str:
        """The role whose features the page shows: the teacher, where there is one."""
        return TEACHER if self.teacher else STUDENT

    def cache(self, role: str) -> MelCache:
        folder = cache_folder(self.config, role)
        if folder not in self._caches:
            self._caches[folder] = MelCache.open(folder)
        return self._caches[folder]

    def groups(self, rows: np.ndarray) -> np.ndarray:
        """The number of the group or recording of each of these rows of `table`, (N,) int."""
        key = rows.tobytes()
        if key not in self._groups:
            self._groups[key] = units_of(self.table, rows)
        return self._groups[key]

    def features(self, role: str, row: int) -> np.ndarray:
        """The role's features of a row of `table`, the mean over channels: (T, F) float32."""
        cache = self.cache(role)
        place = cache.table.rows_of([self.table.ids[row]])
        return cache.gather(place)[0].float().mean(0).numpy()

    def predictions(self, system: System, seed: int, folds: Sequence[int] = ()) -> Predictions:
        """Of one seed, with its folds concatenated. Raises UserError where they are missing."""
        parts = [self._predictions(system, seed, fold) for fold in folds or self.folds]
        return Predictions(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _predictions(self, system: System, seed: int, fold: int) -> Predictions:
        rows, probabilities = self._read_predictions(
            self.file(system, "predictions.csv", seed, fold)
        )
        return Predictions(rows, probabilities, self._targets(rows, seed, fold))

    def _read_predictions(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Rows of `table` (N,) and probabilities (N, K)."""
        table = pd.read_csv(path, dtype={"audio_filename": str}, keep_default_na=False)
        rows = self.table.rows_of(table["audio_filename"].tolist())
        if (rows < 0).any() or list(table)[1:] != list(self.table.classes):
            raise UserError(f"{path}: its clips or classes are not those of the features")
        return rows, table.iloc[:, 1:].to_numpy(np.float64)

    def _targets(self, rows: np.ndarray, seed: int, fold: int) -> np.ndarray:
        """The labels; where there are none, the decisions of the teacher of this seed and fold."""
        if self.table.labelled[rows].all():
            return self.table.targets[rows] >= 0.5
        run = self.folder.resolve().with_name(self.config.run.teacher_run or self.name)
        path = run / f"{TEACHER}/seed_{seed}/fold_{fold}/predictions.csv"
        if not path.is_file():
            raise UserError(f"{path}: not there, and the test clips have no labels")
        clips, probabilities = self._read_predictions(path)
        places = pd.Index(clips).get_indexer(pd.Index(rows))
        if (places < 0).any():
            raise UserError(f"{path}: lacks test clips of the students")
        return decisions(probabilities[places], self.task)

    @cached_property
    def origin(self) -> dict[str, str]:
        """The commit and the versions it was trained with, from the comments of its config.ini."""
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


def read_results(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def with_teachers(results: pd.DataFrame, config: Config, runs: Path) -> pd.DataFrame:
    """`results` of a run below `runs`. Where its teachers are those of TEACHER_RUN: with theirs for
    the same seeds and folds, without those of earlier teachers of its own.
    """
    run = config.run
    if run.of_teachers == run.name:
        return results
    own = results.loc[[not serves(role, config) for role in results["role"]]]
    if not (path := runs / run.of_teachers / "results.csv").is_file():
        return own
    found = read_results(path)
    found = found.loc[[serves(role, config) for role in found["role"]]]
    used = found["seed"].isin(own["seed"]) & found["fold"].isin(own["fold"])
    return pd.concat([found[used], own], ignore_index=True)


def serves(role: str, config: Config) -> bool:
    """Whether it is one of the teachers, in any way to predict."""
    return role.partition("@")[0] in config.teachers()


def trainings(folder: Path) -> dict[tuple[str, str, int, int], Path]:
    """Those of a run that are finished: (role, variant, seed, fold) -> the folder of each."""
    found = {}
    for path in sorted(folder.glob("**/metrics.json")):
        metrics = read_record(path, remedy(path.parent))
        role, variant, seed, fold = (metrics[name] for name in ("role", "variant", "seed", "fold"))
        found[role, variant, seed, fold] = path.parent
    return found


def intact(path: Path) -> Path:
    """A file of a training whose checksum is right. Raises UserError."""
    files = read_record(path.with_name("metrics.json"), remedy(path.parent))["files"]
    check_files(path.parent, {path.name: files[path.name]}, remedy(path.parent))
    return path


def remedy(folder: Path) -> str:
    return f"remove {folder} and train it again"
