"""[ensembles]: systems that average others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from config.errors import ConfigError
from config.fields import LIMIT, key, options_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensembles:
    """[ensembles]: weighted means of systems, such as FUSION = teacher, 2 * student/kd.

    teacher@seeds is the teacher of every seed of the run, teacher@epochs that of the epochs from
    ENSEMBLE_START_EPOCH on, runs/OTHER/teacher that of another run, logits/a.safetensors a file
    written by `python -m training.logits`. FUSION is the teacher of the loss mix ce+kd@fusion.
    """

    mean_of: Literal["probabilities", "logits", "standardised", "gated", "max_vote"] = key(
        "probabilities",
        "what is averaged: probabilities; logits (for one label, the normalised geometric mean of "
        "the probabilities); standardised: z-scores of the logits over the classes of each clip; "
        "gated: probabilities weighted by the confidence of each member in each clip; max_vote: of "
        "each clip, those of its most confident member",
    )
    options: Mapping[str, str] = options_field()

    def __post_init__(self) -> None:
        self.members()
        for name in self.options:
            if re.fullmatch(r"teacher|student|specialist_\d+|specialists|all|random", name):
                raise ConfigError(
                    f"[ensembles] {name}", "is the name of a role; choose another name"
                )

    def members(self) -> dict[str, dict[str, float]]:
        """Name -> member -> weight. Raises ConfigError."""
        found: dict[str, dict[str, float]] = {}
        for name, text in self.options.items():
            found[name] = {}
            for part in map(str.strip, text.split(",")):
                member = re.fullmatch(r"(?:(\d*\.?\d+)\s*\*\s*)?([^\s*]+)", part)
                if not member or not 0 < float(member[1] or 1) <= LIMIT:
                    wanted = f"found {part!r}, expected a system and its weight: 2 * student/ce+kd"
                    raise ConfigError(f"[ensembles] {name}", wanted)
                if member[2] in found[name]:
                    twice = f"found {member[2]!r} twice; give it a weight, such as 2 * {member[2]}"
                    raise ConfigError(f"[ensembles] {name}", twice)
                found[name][member[2]] = float(member[1] or 1)
            trained = [member for member in found[name] if not member.endswith(".safetensors")]
            if len({member.endswith("@seeds") for member in trained}) > 1:
                wanted = f"found {text!r}, expected @seeds behind every member or none"
                raise ConfigError(f"[ensembles] {name}", wanted)
        return found
