"""[specialists]: teachers of confused pairs of classes."""

from __future__ import annotations

from dataclasses import dataclass

from config.errors import ConfigError
from config.fields import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Specialists:
    """[specialists]: teachers fine-tuned from the teacher, one per confused pair of classes."""

    pairs: int = key(
        0,
        "number of most confused pairs of classes, one specialist each; 0: none",
        low=0,
        high=10_000,
    )
    epochs: int = key(60, "passes over the clips of the pair", low=1)
    learning_rate: float | None = key(
        None,
        "empty: the last learning rate of the teacher, whose EPOCHS are then above 0",
        low=0,
        high=1000,
    )
    batch_size: int = key(
        24, "clips: half of the pair, half of the other classes", low=2, high=100_000
    )

    def __post_init__(self) -> None:
        if self.batch_size % 2:
            raise ConfigError(
                "[specialists] batch_size", f"found {self.batch_size}, expected an even number"
            )
