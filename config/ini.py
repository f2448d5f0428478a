"""An INI file and the --set overrides of the command line as entries: text and where it stands."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import NamedTuple

from config.errors import ConfigError
from config.sections import SECTIONS


class Entry(NamedTuple):
    """A value as the user wrote it, and where: "config.ini [run] seeds" or "--set run.seeds=0"."""

    text: str
    where: str


Entries = dict[str, dict[str, Entry]]  # section -> key -> entry


def read_ini(path: Path) -> Entries:
    parser = configparser.ConfigParser(
        interpolation=None,
        inline_comment_prefixes=("#", ";"),
        empty_lines_in_values=False,
        default_section="(none)",
    )
    try:
        with path.open(encoding="utf-8-sig") as file:
            parser.read_file(file)
    except OSError as error:
        raise ConfigError(str(path), error.strerror or str(error)) from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(str(path), " ".join(str(error).split())) from None
    entries: Entries = {}
    for name in parser.sections():
        entries[name] = {}
        for key_name, text in parser[name].items():
            where = f"{path} [{name}] {key_name}"
            first, *further = text.split("\n")
            for line in further:  # a list may continue there, but not a second key
                if "=" in line:
                    raise ConfigError(
                        where, f"continues in the indented line {line!r}; remove its indent"
                    )
            entries[name][key_name] = Entry(" ".join([first, *further]), where)
    return entries


def models_of(path: Path) -> set[str]:
    """MODEL of the roles in a configuration that may be absent: a file among them may be run."""
    entries = read_ini(path) if path.is_file() else {}
    roles = (entries.get(role, {}) for role in ("teacher", "student"))
    return {role["model"].text for role in roles if "model" in role}


def split_override(text: str) -> Entries:
    """`mel.student.num_bands=32` -> {"mel.student": {"num_bands": Entry("32", …)}}."""
    left, equals, value = text.partition("=")
    dotted = left.strip().lower().startswith(("classes.", "study."))  # their keys can have dots
    parts = left.partition(".") if dotted else left.rpartition(".")
    section, dot, name = (part.strip().lower() for part in parts)
    where = f"--set {text}"
    if not (equals and dot and section and name):
        raise ConfigError(where, "expected section.key=value, such as student.epochs=20")
    value = value.strip()
    if re.search(r"(^|\s)[#;]|[\r\n]", value):
        raise ConfigError(
            where, "expected one line, without the ' #' or ' ;' that starts a comment"
        )
    return {section: {name: Entry(value, where)}}


def move_role_keys(entries: Entries, problems: list[ConfigError]) -> Entries:
    """[mel] NUM_BANDS_TEACHER becomes [mel.teacher] NUM_BANDS, and so on."""
    moved = {name: dict(keys) for name, keys in entries.items()}
    for above in ("mel", "augment"):
        for name, entry in entries.get(above, {}).items():
            short, underscore, role = name.rpartition("_")
            if underscore and f"{above}.{role}" in SECTIONS:
                del moved[above][name]
                section = moved.setdefault(f"{above}.{role}", {})
                other = section.setdefault(short, entry)
                if other.text != entry.text:
                    found = f"found {entry.text!r}, but [{above}.{role}] {short} is {other.text!r}"
                    problems.append(ConfigError(entry.where, found))
    return moved
