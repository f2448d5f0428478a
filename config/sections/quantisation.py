"""[quantisation]: students in fewer bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config.errors import ConfigError
from config.fields import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """[quantisation]: the finished student in fewer bits, judged beside itself."""

    precisions: tuple[Literal["float16", "int8"], ...] = key(
        (),
        "float16, int8: what the student says in each, as one more system: student@float16, "
        "student@int8; empty: none",
    )
    epochs: int = key(
        0,
        "of quantisation-aware training for int8, with the losses of the variant; 0: the extremes "
        "that 64 training clips reach are taken as they are",
        low=0,
    )
    learning_rate: float = key(5e-5, "of these epochs, at its highest", low=0)
    freeze_epochs: int = key(
        4, "the last of these epochs, in which ranges and batch statistics stand still", low=0
    )

    def __post_init__(self) -> None:
        if 0 < self.epochs < self.freeze_epochs:
            raise ConfigError(
                "[quantisation] freeze_epochs",
                f"found {self.freeze_epochs}, want at most epochs, {self.epochs}",
            )
        if self.epochs and "int8" not in self.precisions:
            found = f"found {self.epochs}, but int8 is none of PRECISIONS"
            raise ConfigError("[quantisation] epochs", found)
