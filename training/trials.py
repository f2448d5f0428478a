"""The trials of a study: the values of its searched keys in every combination, or sampled."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from config import ConfigError, Study
from config.sections.study import Range, Space
from data.checksums import sha256_of_text

SAMPLES = 100  # for each trial, until its values differ from all others


class Trial(NamedTuple):
    """One setting of the searched keys. `number`: from 1, in the order of the study."""

    number: int
    values: Mapping[str, str]  # section.key -> its value, as text

    @property
    def name(self) -> str:
        """Of its values, whatever the number: a changed value is another trial."""
        return sha256_of_text(json.dumps(dict(self.values), sort_keys=True))[:8]

    @property
    def overrides(self) -> list[str]:
        """As given to --set."""
        return [f"{key}={value}" for key, value in self.values.items()]


def fixed_trials(study: Study) -> list[Trial]:
    """Of METHOD = grid or random: they do not depend on results. Raises ConfigError for no keys."""
    spaces = study.spaces()
    if not spaces:
        raise ConfigError("[study]", "names no keys, such as STUDENT.LEARNING_RATE = 0.001 | 0.003")
    found = combinations(spaces) if study.method == "grid" else samples(study, spaces)
    return [Trial(number, values) for number, values in enumerate(found, start=1)]


def combinations(spaces: Mapping[str, Space]) -> Iterator[dict[str, str]]:
    """The last key changes first."""
    lists = [space for space in spaces.values() if not isinstance(space, Range)]
    return (dict(zip(spaces, chosen, strict=True)) for chosen in itertools.product(*lists))


def samples(study: Study, spaces: Mapping[str, Space]) -> Iterator[dict[str, str]]:
    """TRIALS different ones, or fewer where there are no more; more TRIALS continue the same list.

    Source: Bergstra & Bengio, JMLR 13, 2012.
    """
    generator = np.random.default_rng(study.seed)
    seen: set[tuple[str, ...]] = set()
    for _ in range(SAMPLES * study.trials):
        values = {key: sample(space, generator) for key, space in spaces.items()}
        if len(seen) < study.trials and tuple(values.values()) not in seen:
            seen.add(tuple(values.values()))
            yield values


def sample(space: Space, generator: np.random.Generator) -> str:
    """One value, uniform, or uniform in the logarithm."""
    if not isinstance(space, Range):
        return space[generator.integers(len(space))]
    low, high = (space.low - 0.5, space.high + 0.5) if space.whole else (space.low, space.high)
    if space.log:
        return space.text(math.exp(generator.uniform(math.log(low), math.log(high))))
    return space.text(generator.uniform(low, high))
