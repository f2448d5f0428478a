"""`train_student.py --study`: many settings of one configuration, each a run of its own.

runs/<NAME>/trials/<trial>.json        the outcome of a trial; none until it has one
runs/<NAME>/trials/proposals_*.json    the trials that Optuna proposed
runs/<NAME>-<trial>/                   the run of a trial, as any other
runs/<NAME>-teacher_<settings>/        the teacher of trials that change its settings

Several processes may start the same study, also on machines that share the folder: each takes the
next trial that no other has locked.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from config import Config, ConfigError, LossSettings, Study, UserError, flat_items
from data.checksums import read_record, sha256_of_text, write_record
from data.datasets import build_dataset
from data.lock import InUse, in_use, locked, waiting
from losses.mix import names_of, uses_teacher
from training.checks import check_config, teacher_losses, with_variants
from training.log import logged
from training.loggers.chosen import check_installed
from training.optuna_search import EarlierTrial, propose
from training.role_settings import INIT_TEACHER
from training.run_folder import RUNS, write_results
from training.stages import train_students, train_teachers
from training.trials import Trial, fixed_trials

FINISHED, FAILED, RUNNING, WAITING = "finished", "failed", "running", "waiting"
OF_A_MACHINE = {
    "device",
    "workers",
    "feature_memory_gb",
    "teacher_cache_gb",
    "logger",
    "root",
    "outside_root",
    "on_bad_audio",
}
"""Keys of [run] and [data] in which two processes of one study may differ."""


class Outcome(NamedTuple):
    """Of a trial. run: its folder below runs/; variants: those of its students."""

    trial: Trial
    state: str
    error: str
    run: str
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StudyRun:
    """A study in runs/<NAME>.

    base: the configuration, with [study].
    load: the configuration with the overrides of a trial, as --set gives them.
    score: of a finished run, higher is better; NaN where it has no validation clips. For Optuna.
    """

    base: Config
    load: Callable[[list[str]], Config]
    score: Callable[[Config], float]
    configs: dict[str, Config] = field(default_factory=dict)  # of trials, by their names
    teachers: set[str] = field(default_factory=set)  # trained by this process, or seen finished

    @property
    def folder(self) -> Path:
        return RUNS / self.base.run.name / "trials"

    @property
    def metric(self) -> str:
        """The headline of the results."""
        return build_dataset(self.base.data).metric

    def path(self, trial: Trial) -> Path:
        """Of its record; it is locked by the process that trains the trial."""
        return self.folder / f"{trial.name}.json"

    # The trials ----------------------------------------------------------------------------------

    def trials(self, new: bool = False) -> Iterator[Trial]:
        """In their order. With Optuna those proposed so far, and with `new` further ones, up to
        TRIALS, each proposed when it is reached. Raises ConfigError.
        """
        study = self.base.study
        trials = fixed_trials(study if study.method != "optuna" else replace(study, trials=1))
        if study.method != "optuna":
            yield from trials
            return
        for number in range(1, study.trials + 1):
            if (trial := self.proposal(number, new)) is None:
                return
            yield trial

    def proposal(self, number: int, new: bool) -> Trial | None:
        """The one of this number; None where it is not yet made, and not `new`."""
        study = self.base.study
        about = json.dumps([dict(study.options), study.seed], sort_keys=True)
        path = self.folder / f"proposals_{sha256_of_text(about)[:8]}.json"
        if not new and not path.exists():
            return None
        with waiting(path):
            proposed = read_record(path, f"remove {path}")["trials"] if path.exists() else []
            if number > len(proposed) and new:
                earlier = [
                    self.earlier_trial(Trial(n, one)) for n, one in enumerate(proposed, start=1)
                ]
                proposed.append(propose(study, earlier))
                write_record(path, {"trials": proposed}, {})
        return Trial(number, proposed[number - 1]) if number <= len(proposed) else None

    def earlier_trial(self, trial: Trial) -> EarlierTrial:
        """Raises ConfigError for a finished trial without a validation score."""
        record = self.record(trial)
        if record.get("state") != FINISHED:
            return EarlierTrial(trial.values, None, record.get("state") == FAILED)
        if record["score"] is None:
            found = "found 'optuna', which requires validation scores: set [data] HOLD_OUT above 0"
            raise ConfigError("[study] method", f"{found}, or METHOD = grid or random")
        return EarlierTrial(trial.values, record["score"])

    # Settings ------------------------------------------------------------------------------------

    def config(self, trial: Trial) -> Config:
        """Of the run of a trial. Raises ConfigError."""
        if trial.name not in self.configs:
            config = self.load(trial.overrides)
            task = check_config(config, "teacher", "student").task
            run = replace(config.run, name=f"{self.base.run.name}-{trial.name}")
            run = replace(run, teacher_run=self.teacher_run(config, task))
            config = replace(with_variants(config, task), run=run, study=Study())
            self.configs[trial.name] = config
        return self.configs[trial.name]

    def teacher_run(self, config: Config, task: str) -> str:
        """The base's where the teacher's settings are the same, else one for these settings."""
        settings = teacher_identity(config, task)
        if settings == teacher_identity(self.base, task):
            return self.base.run.of_teachers
        return f"{self.base.run.name}-teacher_{sha256_of_text(settings)[:8]}"

    def fingerprint(self, trial: Trial) -> str:
        """Of the whole configuration of a trial, but for the machine: a trial with more seeds or
        other epochs is not finished.
        """
        try:
            lines = self.config(trial).to_ini().splitlines()
        except UserError as error:
            return str(error)
        return sha256_of_text(
            "\n".join(line for line in lines if line.partition(" ")[0] not in OF_A_MACHINE)
        )

    # Records -------------------------------------------------------------------------------------

    def record(self, trial: Trial) -> dict[str, Any]:
        """With `state`; empty where there is none with the present configuration."""
        path = self.path(trial)
        if not path.exists():
            return {}
        record = read_record(path, f"remove {path} to train this trial again")
        return record if record["config"] == self.fingerprint(trial) else {}

    def outcomes(self) -> list[Outcome]:
        return [self.outcome(trial) for trial in self.trials()]

    def outcome(self, trial: Trial) -> Outcome:
        try:
            config = self.config(trial)
            run, variants = config.run.name, config.distillation.variants
        except UserError:
            run, variants = "", ()
        if record := self.record(trial):
            return Outcome(trial, record["state"], record["error"], run, variants)
        running = self.folder.is_dir() and in_use(self.path(trial))
        return Outcome(trial, RUNNING if running else WAITING, "", run, variants)

    # Training ------------------------------------------------------------------------------------

    def train(self, overwrite: bool, retry: bool) -> None:
        """Until every trial has an outcome or is trained by another process.

        `overwrite`: all trials that had an outcome before this process started; `retry`: those that
        had failed. Raises ConfigError where no trial has valid settings.
        """
        self.check()
        again = (FINISHED, FAILED) if overwrite else (FAILED,) * retry
        due_before = dict.fromkeys(again, datetime.now().timestamp())
        tried: set[str] = set()
        before = -1
        while len(tried) > before:  # trials of a process that has been killed meanwhile
            before = len(tried)
            for trial in self.trials(new=True):
                if trial.name not in tried and self.train_one(trial, overwrite, due_before):
                    tried.add(trial.name)

    def check(self) -> None:
        check_installed(self.base.run.logger)
        errors: list[UserError] = []
        trials = list(self.trials())
        for trial in trials:
            try:
                self.config(trial)
            except UserError as error:
                errors.append(error)
        if errors and len(errors) == len(trials):
            raise errors[0]

    def train_one(self, trial: Trial, overwrite: bool, due_before: Mapping[str, float]) -> bool:
        """Whether this process has trained the trial: it was due, and no other is training it.

        `due_before`: a state -> the time before which a trial that ended in it is due.
        """
        try:
            with locked(self.path(trial)):
                record = self.record(trial)
                due = not record or record["ended"] < due_before.get(record["state"], 0.0)
                if due:
                    self.attempt(trial, overwrite)
                return due
        except InUse:
            return False

    def attempt(self, trial: Trial, overwrite: bool) -> None:
        """Train it and write its record. Any error is the outcome of this trial alone."""
        print(f"trial {trial.number}: {', '.join(trial.overrides)}", flush=True)
        outcome: dict[str, Any] = {"state": FINISHED, "error": "", "score": None}
        try:
            config = self.config(trial)
            self.train_teacher(config, overwrite)
            with logged(config.run.name):
                train_students(config, overwrite)
                write_results(config.run.name)
            score = self.score(config)
            outcome["score"] = None if math.isnan(score) else score
        except Exception as error:  # the other trials may have none
            known = isinstance(error, UserError)
            outcome["state"] = FAILED
            outcome["error"] = str(error) if known else f"{type(error).__name__}: {error}"
            print(f"trial {trial.number} failed: {outcome['error']}", file=sys.stderr, flush=True)
        outcome |= {"ended": datetime.now().timestamp(), "config": self.fingerprint(trial)}
        write_record(self.path(trial), {"values": dict(trial.values), **outcome}, {})

    def train_teacher(self, config: Config, overwrite: bool) -> None:
        """Of a trial that has one, if it is not the base's TEACHER_RUN: one process does, once, the
        others wait. It is overwritten only where it is another: others may be distilling from it.
        """
        shared = config.run.teacher_run
        mixes = config.distillation.variants
        required = any(map(uses_teacher, mixes)) or config.student.init == INIT_TEACHER
        if not required or shared in self.teachers or shared == self.base.run.teacher_run:
            return
        own = self.base if shared == self.base.run.name else config
        own = replace(own, run=replace(own.run, name=shared, teacher_run=""))
        with waiting(self.folder / shared), logged(shared):
            try:
                train_teachers(own)
            except UserError:
                if not overwrite:
                    raise
                train_teachers(own, overwrite)
            write_results(shared)
        self.teachers.add(shared)


def teacher_identity(config: Config, task: str) -> str:
    """All that a teacher and its specialists depend on, as text."""
    sections: dict[str, Any] = {
        "data": config.data,
        "mel": config.teacher_mel,
        "teacher": config.teacher,
        "classes": config.classes,
        "specialists": config.specialists,
        "augment": config.teacher_augment,
        "specialists augment": config.specialists_augment,
    }
    names = names_of(teacher_losses(config, task))
    sections |= {f"loss {name}": config.losses.get(name, LossSettings()) for name in names}
    found = {name: flat_items(section) for name, section in sections.items()}
    weights = {name: config.coefficients.get(name, 1.0) for name in names}
    return repr((found, weights, config.run.precision, config.run.compile))
