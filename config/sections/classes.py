"""[classes]: the user's classes as sets of the teacher's."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.errors import ConfigError, nearest
from config.fields import options_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """[classes]: the user's classes as sets of those of a teacher that is used as it is.

    SIREN = Siren, Ambulance (siren): the outputs of the teacher for a class are those of its set.
    """

    options: Mapping[str, str] = options_field()

    def sets(self, classes: Sequence[str], known: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """For each of `classes` the indices of its set in `known`, the teacher's classes.

        Keys of an INI file have no case. Raises ConfigError for a class without a set, a key that
        is no class, and a name that is not known.
        """
        lower = [name.lower() for name in classes]
        for name in self.options:
            if name not in lower:
                found = f"is no class of the data set{nearest(name, lower)}"
                raise ConfigError(f"[classes] {name}", found)
        for name in classes:
            if name.lower() not in self.options:
                found = f"has no set of the teacher's classes for {name!r}"
                raise ConfigError("[classes]", f"{found}; add {name} = and their names")
            if lower.count(name.lower()) > 1:
                found = "is two classes that differ in case, which keys do not"
                raise ConfigError(f"[classes] {name.lower()}", found)
        index = {name: place for place, name in enumerate(known)}
        return tuple(tuple(index[name] for name in self.names(one, known)) for one in lower)

    def names(self, key_name: str, known: Sequence[str]) -> tuple[str, ...]:
        """The set of one key. Raises ConfigError."""
        return read_names(f"[classes] {key_name}", self.options[key_name], known)


def read_names(where: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """`Siren, Chirp, tweet` -> ("Siren", "Chirp, tweet"): names with commas, separated by commas.

    A text is read as the names of `known` whose parts between commas it consists of. Double quotes
    enclose one name. Raises ConfigError for a name that is not known, with the nearest one, for a
    text that can be read in two ways, and for a name that is given twice.
    """
    if text.count('"') % 2:
        raise ConfigError(where, f"found {text!r}, expected a second quote")
    parts = [part.strip() for part in re.findall(r'(?:"[^"]*"|[^,"])+', text)]
    parts = [part for part in parts if part]
    if not parts:
        raise ConfigError(where, "found none, expected one or more of the teacher's classes")
    names = {parts_of(name): name for name in known} | {(f'"{name}"',): name for name in known}
    longest = max(map(len, names))
    readings: list[list[tuple[str, ...]]] = [[()], *([] for _ in parts)]  # of the first n parts
    for start in range(len(parts)):
        for stop in range(start + 1, min(start + longest, len(parts)) + 1):
            if (name := names.get(tuple(parts[start:stop]))) is not None:
                readings[stop] += [(*before, name) for before in readings[start][:2]]
    if not readings[-1]:
        raise ConfigError(where, unknown_name(parts, readings, names))
    first, *others = readings[-1]
    if others:
        both = " and as ".join(", ".join(f'"{name}"' for name in one) for one in (first, others[0]))
        raise ConfigError(where, f"found {text!r}, which can be read as {both}; use the quotes")
    if twice := [name for name in first if first.count(name) > 1]:
        raise ConfigError(where, f"found {twice[0]!r} twice")
    return first


def parts_of(name: str) -> tuple[str, ...]:
    """Between commas."""
    return tuple(part for part in map(str.strip, name.split(",")) if part)


def unknown_name(
    parts: Sequence[str], readings: Sequence[object], names: Mapping[tuple[str, ...], str]
) -> str:
    """The message for the first parts that no name follows from, with the nearest name."""
    start = max(n for n, found in enumerate(readings) if found)

    def likeness(name_parts: tuple[str, ...]) -> float:
        found = ", ".join(parts[start : start + len(name_parts)])
        return difflib.SequenceMatcher(None, ", ".join(name_parts).lower(), found.lower()).ratio()

    best = max(names, key=likeness)
    if likeness(best) < 0.6:
        return f"found {parts[start]!r}, which is no class of the teacher"
    found = ", ".join(parts[start : start + len(best)])
    return f"found {found!r}, which is no class of the teacher; nearest: {names[best]}"
