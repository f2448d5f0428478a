"""[loss.NAME]: the settings of one loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.fields import options_field

LOSS = "loss."  # the sections begin with it: [loss.dkd]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSettings:
    """[loss.NAME]: the settings of one loss of VARIANTS or LOSSES; all are options."""

    options: Mapping[str, str] = options_field()
