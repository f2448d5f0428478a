"""Parsing the name of a variant: its losses, and the teachers of its distillation losses."""

from collections.abc import Collection

from config import ConfigError, choose
from losses import LOSSES

VARIANTS = "[distillation] variants"
RANDOM = "random"  # one of the teacher and its specialists for each batch
TEACHERS = ("teacher", "specialists", "all", RANDOM)


def names_of(variant: str) -> tuple[str, ...]:
    """`bce+kd+sp@teacher` -> ("bce", "kd", "sp")."""
    return tuple(part.strip().lower() for part in variant.partition("@")[0].split("+"))


def teachers_of(variant: str, ensembles: Collection[str] = ()) -> str:
    """One of TEACHERS or the name of an ensemble: `kd@teacher` -> "teacher", `kd` -> "all".

    Raises ConfigError.
    """
    _, at, teacher = variant.partition("@")
    if not at:
        return "all"
    return choose(
        VARIANTS, {name: name for name in (*TEACHERS, *ensembles)}, teacher.strip().lower()
    )


def uses_teacher(variant: str) -> bool:
    """Whether a loss of the mix requires a teacher. Raises ConfigError for an unknown loss."""
    found = [choose(VARIANTS, LOSSES, name).takes_teacher for name in names_of(variant)]
    if "@" in variant and not any(found):
        raise ConfigError(VARIANTS, f"found {variant!r}, but none of its losses requires a teacher")
    return any(found)
