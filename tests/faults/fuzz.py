"""Random keys and values: a configuration is accepted, or refused by a clear line."""

from __future__ import annotations

import argparse
import contextlib
import io
import signal
import typing
import warnings
from collections.abc import Iterator
from dataclasses import Field
from functools import partial
from pathlib import Path
from random import Random
from types import FrameType, NoneType
from typing import Any, Literal

import make_mel
from config import SECTIONS, UserError, key_fields, load
from data.datasets import DATASETS
from losses import LOSSES
from metrics import METRICS
from models import MODELS
from tests.faults.place import Lost, record, run

HANG_SECONDS = 120
TEXTS = (
    *("", " ", ",", ",,,", ";", "=", "0", "1", "-1", "yes", "no", "None", "nan", "inf", "-inf"),
    *("1e308", "1e-308", "1e9", "1000000001", "9" * 30, "0x10", "1_0", "0.5", "1, 2", "1, 1", "٣"),
    *("ß", "\x00", "\x1b[31m", "\ud800", "%(x)s", "{0}", "'", '"', "[data]", "a b", "a" * 9000),
    *("..", "../..", "/", "/dev/null", "~", "config.ini", "recordings", "recordings/test_0.wav"),
    *("nowhere", "a.py:build", "config.ini:build", "a:b:c", ":", "teacher", "student", "auto"),
)
NUMBERS = (0, 1, 2, 3, 5, 10, 64, 1000, 10**6, 10**9, -1, 0.5, 0.1, 1e-9, 0.999, 1.5, 8000, 4000.1)
MIXES = ("+", ", ", "@", "*", "++", " + ")


def any_text(rng: Random) -> str:
    return rng.choice(TEXTS)


def a_number(rng: Random, field: Field[Any]) -> float:
    low, high = field.metadata.get("low"), field.metadata.get("high")
    near = [bound + step for bound in (low, high) if bound is not None for step in (-1, 0, 1e-6, 1)]
    return rng.choice([*NUMBERS, *near])


def value(rng: Random, field: Field[Any], hint: Any) -> str:
    """Mostly of the type of the key."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if rng.random() < 0.15:
        return any_text(rng)
    if origin is Literal:
        return str(rng.choice(arguments))
    if origin is tuple:
        count = rng.choice([0, 1, 2, 2, 3])
        return ", ".join(value(rng, field, arguments[0]) for _ in range(count))
    if NoneType in arguments:
        some = next(argument for argument in arguments if argument is not NoneType)
        return value(rng, field, some) if rng.random() < 0.8 else ""
    if hint is bool:
        return rng.choice(["yes", "no", "true", "0"])
    if hint is int:
        return str(int(a_number(rng, field)))
    if hint is float:
        return str(a_number(rng, field))
    return a_name(rng)


def a_name(rng: Random) -> str:
    known = [*MODELS, *LOSSES, *METRICS, *DATASETS, "low", "high", "fusion", "teacher", "student"]
    names = rng.choices(known, k=rng.choice([1, 1, 1, 2, 3]))
    return rng.choice(MIXES).join(names) if rng.random() < 0.9 else any_text(rng)


def changes(rng: Random) -> Iterator[tuple[str, str, str]]:
    """(section, key, value), most of which exist."""
    for _ in range(rng.choice([1, 1, 2, 3, 6])):
        section = rng.choice([*SECTIONS, "coefficients"])
        if section == "coefficients":
            yield section, rng.choice([*LOSSES, any_text(rng)]), str(rng.choice(NUMBERS))
            continue
        kind = SECTIONS[section]
        hints, fields = typing.get_type_hints(kind), key_fields(kind)
        name = rng.choice([*fields, "low"])
        if section in ("teacher", "student", "data") and rng.random() < 0.2:
            options = [*MODELS.values(), *DATASETS.values()]
            keys = typing.get_type_hints(rng.choice(options).__init__)
            name = rng.choice([*keys, "return"])
            yield section, name, str(rng.choice([*NUMBERS, *TEXTS]))
        elif name not in fields or rng.random() < 0.05:
            name = rng.choice(["low", any_text(rng)])
            yield section, name, a_name(rng)
        elif rng.random() < 0.03:
            yield any_text(rng) or "x", any_text(rng) or "x", any_text(rng)
        else:
            yield section, name, value(rng, fields[name], hints[name])


def trial(rng: Random, folder: Path, as_file: bool, run_it: bool = False) -> None:
    record(folder)
    path, overrides = folder / "config.ini", []
    chosen = [*changes(rng)]
    if as_file:
        text = path.read_text() + "".join(f"[{s}]\n{key} = {v}\n" for s, key, v in chosen)
        path.write_bytes(merged(text).encode(errors="surrogatepass"))
    else:
        overrides = [f"{section}.{key}={v}" for section, key, v in chosen]
    with contextlib.chdir(folder), time_limit():
        try:
            accepted = check(overrides)
        except Lost:
            raise
        except Exception as error:
            raise Lost(f"{shown(chosen)}: {type(error).__name__}: {error}") from error
        if accepted and run_it:
            run_all(folder, overrides, chosen)


def merged(text: str) -> str:
    """The keys of a section that is there twice, under its first head; the last of each key."""
    sections: dict[str, dict[str, str]] = {}
    name, key = "", ""
    for line in text.splitlines():
        if line.startswith("[") and "]" in line:
            name = line.strip()[1:-1]
            sections.setdefault(name, {})
        elif line.strip():
            key = line.partition("=")[0].strip().lower()
            sections[name][key] = line
    return "".join(
        f"[{name}]\n" + "".join(f"{line}\n" for line in keys.values())
        for name, keys in sections.items()
    )


def shown(chosen: list[tuple[str, str, str]]) -> str:
    return "; ".join(f"[{section}] {key} = {v[:80]!r}" for section, key, v in chosen)


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise Lost(f"no answer within {HANG_SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(HANG_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(overrides: list[str]) -> bool:
    """Whether the scripts would start to work. All that they check before is checked."""
    from training.dry_run import print_plan
    from training.preparation import check_settings, check_table

    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            config = load(Path("config.ini"), overrides)
            dataset = check_settings(config)
            if config.data.dataset == "csv_folder" and config.data.root == "recordings":
                check_table(config, dataset, dataset.table(Path("recordings")))
            arguments = argparse.Namespace(dry_run=True, download=False, config=Path("c"), set=[])
            make_mel.main(arguments, config)
            print_plan(config, "teacher")
            print_plan(config, "student")
        except (UserError, OSError) as error:  # as run_script
            if not str(error).strip() or len(str(error)) > 20_000:
                raise Lost(f"no clear line: {str(error)[:300]!r}") from None
            return False
    return config.data.root == "recordings"


def run_all(folder: Path, overrides: list[str], chosen: list[tuple[str, str, str]]) -> None:
    """What was accepted is also run, with few epochs: it ends well, or with a clear line."""
    few = ["teacher.epochs=1", "student.epochs=2", "run.workers=1", "run.device=cpu"]
    if any(key in ("init", "pairs", "seeds", "folds") for _, key, _ in chosen):
        return  # may download, or be many trainings
    arguments = [part for one in (*overrides, *few) for part in ("--set", one)]
    for name in ("make_mel.py", "train_teacher.py", "train_student.py"):
        try:
            ended = run(folder, name, *arguments)
        except Lost as lost:
            raise Lost(f"{shown(chosen)}: {lost}") from None
        if ended.status not in (0, 1, 2):
            raise Lost(f"{shown(chosen)}: status {ended.status}: {ended.printed[-2000:]}")
        if ended.status:
            return


FAULTS = {
    "random keys in `config.ini`": partial(trial, as_file=True),
    "random keys by `--set`": partial(trial, as_file=False),
    "random keys, and the scripts run": partial(trial, as_file=False, run_it=True),
}
