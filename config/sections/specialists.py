"""[specialists]: teachers of confused pairs of classes."""

from __future__ import annotations

from dataclasses import dataclass

from config.errors import ConfigError
from config.fields import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Specialists:
    """[specialists]: teachers that go on from the teacher, one for each pair that it confuses."""

    pairs: int = key(0, "most confused pairs of classes, a specialist for each; 0: none", low=0)
    epochs: int = key(60, "passes over the clips of the pair", low=1)
    learning_rate: float | None = key(None, "empty: where the teacher's ended", low=0)
    batch_size: int = key(24, "clips, half of the pair and half of the rest", low=2)

    def __post_init__(self) -> None:
        if self.batch_size % 2:
            raise ConfigError("[specialists] batch_size", f"found {self.batch_size}, want it even")
