"""[budget]: the largest student allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config.fields import key


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """[budget]: what a student may cost; train_student.py refuses one that costs more."""

    max_bytes: int = key(0, "bytes of all parameters in this precision; 0: any", low=0)
    precision: Literal["float32", "float16", "int8"] = key(
        "float32", "in which the parameters are to be stored"
    )
    max_macs: int = key(0, "multiply-accumulates of a clip; 0: any", low=0)
