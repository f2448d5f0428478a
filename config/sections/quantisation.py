"""[quantisation]: students in fewer bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config.errors import ConfigError
from config.fields import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """[quantisation]: the finished student in fewer bits, evaluated as further systems."""

    precisions: tuple[Literal["float16", "int8"], ...] = key(
        (),
        "float16, int8: each one more system, student@float16 and student@int8; empty: none",
    )
    epochs: int = key(
        0,
        "epochs of quantisation-aware training for int8, with the losses of the variant; 0: "
        "post-training quantisation, with ranges measured on 64 training clips",
        low=0,
    )
    learning_rate: float = key(5e-5, "peak learning rate of these epochs", low=0, high=1000)
    freeze_epochs: int = key(
        4, "last epochs of these, with ranges and batch statistics frozen", low=0
    )

    def __post_init__(self) -> None:
        if 0 < self.epochs < self.freeze_epochs:
            raise ConfigError(
                "[quantisation] freeze_epochs",
                f"found {self.freeze_epochs}, expected at most epochs, {self.epochs}",
            )
        if self.epochs and "int8" not in self.precisions:
            found = f"found {self.epochs}, but PRECISIONS lacks int8"
            raise ConfigError("[quantisation] epochs", found)
