"""Outputs of a teacher that follow from others and are much smaller: these are cached instead."""

from collections.abc import Callable
from typing import Any

from losses.at import energies
from losses.sp import gram

DERIVED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "map_gram": ("map", gram),
    "energies": ("maps", energies),
}
"""Output -> the output that it follows from, and the function."""
