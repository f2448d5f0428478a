"""The limits of [budget] on the size and the compute of a student."""

from __future__ import annotations

from config import Budget, ConfigError
from models.cost import Cost

BYTES = {"float32": 4, "float16": 2, "int8": 1}


def check_budget(budget: Budget, cost: Cost) -> None:
    """Raises ConfigError, with all figures, for a student that exceeds [budget]."""
    stored = cost.parameters * BYTES[budget.precision]
    costs = (
        f"the student's {cost.parameters:,} parameters take {stored:,} bytes in "
        f"{budget.precision}, and each clip {cost.macs:,} multiply-accumulates"
    )
    if budget.max_bytes and stored > budget.max_bytes:
        raise ConfigError(
            "[budget] max_bytes", f"{costs}; expected at most {budget.max_bytes:,} bytes"
        )
    if budget.max_macs and cost.macs > budget.max_macs:
        raise ConfigError("[budget] max_macs", f"{costs}; expected at most {budget.max_macs:,}")
