"""[study]: the settings that `train_student.py --study` searches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from config.errors import ConfigError
from config.fields import cast, key, options_field

FIXED = ("run.name", "run.seeds", "run.teacher_run")  # of the study, the same in all trials


class Range(NamedTuple):
    """Numbers from low to high, both included; `log`: uniform in their logarithm."""

    low: float
    high: float
    log: bool
    whole: bool  # whole numbers: both bounds are written as such

    def text(self, value: float) -> str:
        """As a value of an INI file, with four digits, within the range."""
        if self.whole:
            return str(min(max(round(value), int(self.low)), int(self.high)))
        return repr(min(max(float(f"{value:.4g}"), self.low), self.high))


Space = tuple[str, ...] | Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """[study]: keys that `train_student.py --study` searches, with their values:

    STUDENT.LEARNING_RATE = 0.001 | 0.003, or a range, 0.001 .. 0.1 log.
    """

    method: Literal["grid", "random", "optuna"] = key(
        "grid",
        "grid: all combinations of the values; random: TRIALS sampled ones; optuna: each of TRIALS "
        "is proposed from the validation scores of the others, by the package of this name",
    )
    trials: int = key(20, "trials of random and optuna", low=1, high=100_000)
    seed: int = key(0, "random seed of random and optuna", low=0, high=1e9)
    options: Mapping[str, str] = options_field()

    def __post_init__(self) -> None:
        for name, space in self.spaces().items():
            where = f"[study] {name}"
            if "." not in name or name in FIXED or name.startswith(("study.", "matrix.")):
                expected = "expected a key of the trials with its section, such as student.epochs"
                raise ConfigError(where, f"is not searched; {expected}")
            if self.method == "grid" and isinstance(space, Range):
                found = f"found the range {self.options[name]!r}, but METHOD = grid"
                raise ConfigError(where, f"{found}: expected values separated by |")

    def spaces(self) -> dict[str, Space]:
        """section.key -> its values as text, or their range. Raises ConfigError."""
        return {name: read_space(f"[study] {name}", text) for name, text in self.options.items()}


def read_space(where: str, text: str) -> Space:
    """`0.1 | 0.3` -> ("0.1", "0.3"); `ce | ce, ce+kd` -> ("ce", "ce, ce+kd"); `1 .. 8`: a Range.

    Raises ConfigError.
    """
    if found := re.fullmatch(r"(\S+)\s+\.\.\s+(\S+)(\s+log)?", text.strip()):
        low, high = (cast(part, float, where) for part in found.groups()[:2])
        whole = all(re.fullmatch(r"[+-]?\d+", part) for part in found.groups()[:2])
        if low >= high or (found[3] and low <= 0):
            expected = f"expected LOW < HIGH{', both above 0' if found[3] else ''}"
            raise ConfigError(where, f"found {text!r}, {expected}")
        return Range(low, high, bool(found[3]), whole)
    values = tuple(part.strip() for part in text.split("|"))
    if len(set(values)) < len(values):
        raise ConfigError(where, f"found {text!r}, expected no duplicates")
    return values
