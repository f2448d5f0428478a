"""Errors that the user can fix, and the nearest name of what was misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class UserError(Exception):
    """An error that the user can fix: missing audio, a bad archive, a full disk. Exit status 1."""

    exit_status = 1


class ConfigError(UserError):
    """The command line or the configuration is wrong. Exit status 2.

    `where` names the section and key, such as "[mel] mel_max_hz"; `load` puts the file before it.
    """

    exit_status = 2

    def __init__(self, where: str, message: str) -> None:
        super().__init__(where, message)
        self.where, self.message = where, message

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def choose(where: str, table: Mapping[str, Any], name: str) -> Any:
    """The entry of a table of models, losses, data sets or metrics. ConfigError if unknown."""
    if name not in table:
        raise ConfigError(where, f"found {name!r}{nearest(name, table)}")
    return table[name]


def reason_of(error: BaseException) -> str:
    """The first line of its text, or its class where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """`; nearest: epochs (allowed: …)`: the nearest if any is near, all if few."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    allowed = f" (allowed: {', '.join(names)})" if len(names) <= 60 else ""
    return (f"; nearest: {close[0]}" if close else "") + allowed
