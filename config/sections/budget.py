"""[budget]: the largest student allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config.fields import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """[budget]: limits of the student; train_student.py refuses a larger one."""

    max_bytes: int = key(
        0, "maximum bytes of all parameters in PRECISION; 0: no limit", low=0, high=1e15
    )
    precision: Literal["float32", "float16", "int8"] = key("float32", "of the stored parameters")
    max_macs: int = key(0, "maximum multiply-accumulates per clip; 0: no limit", low=0, high=1e15)
