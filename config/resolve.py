"""Entries of an INI file and of the command line -> a checked Config."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from config.errors import ConfigError, nearest
from config.fields import cast, check_limit, check_value, key_fields
from config.ini import Entries, Entry, move_role_keys, read_ini, split_override
from config.named_init import fill_in
from config.renamed import renamed_section, successor
from config.sections import LOSS, SECTIONS, LossSettings, no_such_key
from config.settings import SECTION_OF, Config


def load(path: Path, overrides: Iterable[str] = ()) -> Config:
    """Read a configuration file and the `section.key=value` overrides of the command line.

    Raises one ConfigError for all problems, one line each: the file, the section, the key, the
    value found, the values allowed and the nearest name.
    """
    problems: list[ConfigError] = []
    given: Entries = {}
    for layer in (read_ini(path), *map(split_override, overrides)):
        for name, entries in move_role_keys(layer, problems).items():
            if name not in SECTIONS and name != "coefficients" and not name.startswith(LOSS):
                first = next(iter(entries.values()), Entry("", f"{path} [{name}]"))
                known = nearest(name, [*SECTIONS, "coefficients"])
                message = renamed_section(name) or f"no such section{known}"
                problems.append(ConfigError(first.where, message))
            given.setdefault(name, {}).update(entries)

    for role in ("teacher", "student"):
        fill_in(given, role, problems)

    def section(name: str) -> Any:
        merged: dict[str, Entry] = {}
        for part in (name.partition(".")[0], name):  # [mel] beneath [mel.teacher]
            merged |= given.get(part, {})
        return build_section(f"{path} [{name}]", name, merged, problems)

    sections = {field: section(name) for field, name in SECTION_OF.items()}
    losses = {
        name.removeprefix(LOSS): LossSettings(options={key: e.text for key, e in entries.items()})
        for name, entries in given.items()
        if name.startswith(LOSS)
    }
    coefficients = {}
    for name, (text, where) in given.get("coefficients", {}).items():
        with collected(problems):
            coefficients[name] = cast(text, float, where)
            if coefficients[name] < 0:
                raise ConfigError(where, f"found {text}, expected at least 0")
            check_limit(where, coefficients[name])
    raise_together(str(path), problems)
    config = Config(coefficients=coefficients, losses=losses, **sections)
    if not config.run.name:
        name = re.sub(r"[\s#;]+", "_", path.stem)  # as a value of an INI file can be
        return replace(config, run=replace(config.run, name=name))
    return config


def build_section(
    where: str, name: str, entries: Mapping[str, Entry], problems: list[ConfigError]
) -> Any:
    """The dataclass of a section; None if it has problems, which are appended to `problems`."""
    kind = SECTIONS[name]
    known = key_fields(kind)
    takes_options = len(known) < len(fields(kind))
    hints = typing.get_type_hints(kind)
    before = len(problems)
    values: dict[str, Any] = {}
    options = {}
    own_module = ":" in entries.get("model", Entry("", "")).text  # its options have any name
    for key_name, (text, place) in entries.items():
        with collected(problems):
            if key_name in known:
                values[key_name] = cast(text, hints[key_name], place)
                check_value(place, known[key_name], values[key_name])
            elif not own_module and (message := successor(name, key_name)):
                raise ConfigError(place, message)
            elif takes_options:
                options[key_name] = text
            else:
                raise ConfigError(place, no_such_key(key_name, known))
    if len(problems) > before:
        return None
    if takes_options:
        values["options"] = options
    try:
        return kind(**values)
    except ConfigError as error:  # a contradiction between keys, some of which may be defaults
        key_name = error.where.rpartition(" ")[2]
        problems.append(ConfigError(f"{where} {key_name}", error.message))


@contextmanager
def collected(problems: list[ConfigError]) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        problems.append(error)


def raise_together(header: str, problems: Iterable[ConfigError]) -> None:
    """Raise the problems, if any, as one error without repetitions."""
    lines = dict.fromkeys((error.where, error.message) for error in problems)
    for above in ("mel", "augment"):  # the same problem in all of its roles
        roles = [f"[{name}]" for name in SECTIONS if name.startswith(f"{above}.")]
        for where, message in list(lines):
            twins = [(where.replace(roles[0], role), message) for role in roles]
            if roles[0] in where and all(twin in lines for twin in twins):
                for twin in twins:
                    del lines[twin]
                lines[where.replace(roles[0], f"[{above}]"), message] = None
    if len(lines) == 1:
        raise ConfigError(*next(iter(lines)))
    if lines:
        text = "".join(f"\n  {where}: {message}" for where, message in lines)
        raise ConfigError(header, f"{len(lines)} problems{text}")
