"""Proposals of Optuna: the next trial from the validation scores of the earlier ones.

Every proposal is made by a new study in memory, to which the earlier trials are added, so that
nothing but the records of the trials is shared between processes and kept on disk.

Source: Akiba et al., Optuna, KDD 2019; the sampler is its Tree-structured Parzen Estimator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from config import ConfigError, Study
from config.sections.study import Range, Space


class EarlierTrial(NamedTuple):
    """An earlier trial. score: higher is better; None for one that runs or has failed."""

    values: Mapping[str, str]
    score: float | None
    failed: bool = False


def propose(study: Study, earlier: Sequence[EarlierTrial]) -> dict[str, str]:
    """The values of the next trial. Raises ConfigError where the package optuna is missing."""
    try:
        import optuna
    except ModuleNotFoundError:
        missing = "found 'optuna', a package that is not installed: python -m pip install optuna"
        raise ConfigError("[study] method", missing) from None
    spaces = study.spaces()
    distributions = {key: distribution(optuna, space) for key, space in spaces.items()}
    # a new study begins with the samples of its seed: each proposal has its own
    sampler = optuna.samplers.TPESampler(seed=study.seed + len(earlier), constant_liar=True)
    found = optuna.create_study(direction="maximize", sampler=sampler)
    states = optuna.trial.TrialState
    for values, score, failed in earlier:
        unscored = states.FAIL if failed else states.RUNNING
        found.add_trial(
            optuna.trial.create_trial(
                state=unscored if score is None else states.COMPLETE,
                value=score,
                params={key: parameter(spaces[key], text) for key, text in values.items()},
                distributions=distributions,
            )
        )
    proposed = found.ask(distributions).params
    return {key: as_text(space, proposed[key]) for key, space in spaces.items()}


def distribution(optuna: Any, space: Space) -> Any:
    kinds = optuna.distributions
    if not isinstance(space, Range):
        return kinds.CategoricalDistribution(space)
    if space.whole:
        return kinds.IntDistribution(int(space.low), int(space.high), log=space.log)
    return kinds.FloatDistribution(space.low, space.high, log=space.log)


def parameter(space: Space, text: str) -> str | int | float:
    if not isinstance(space, Range):
        return text
    return int(text) if space.whole else float(text)


def as_text(space: Space, value: Any) -> str:
    return space.text(value) if isinstance(space, Range) else str(value)
