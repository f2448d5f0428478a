"""The settings that differ between runs."""

from __future__ import annotations

from collections.abc import Sequence
from configparser import ConfigParser

from report.run import Run
from report.section import Cell, Section, Table, Text

UNSET = "-"


def section(runs: Sequence[Run]) -> Section:
    rows = differences(runs)
    if not rows:
        return Section("Settings", [Text("All settings are equal, except the names of the runs.")])
    cells = [[Cell(text) for text in row] for row in rows]
    head = ["setting", *(run.name for run in runs)]
    caption = "The settings that differ, from config.ini of each run; the others are equal."
    return Section("Settings", [Table(head, cells, caption)])


def differences(runs: Sequence[Run]) -> list[list[str]]:
    """Rows of a setting and its value in each run; the name of the run is left out."""
    settings = [flat(run) for run in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    rows = [[name, *(one.get(name, UNSET) for one in settings)] for name in names]
    return [row for row in rows if len(set(row[1:])) > 1 and row[0] != "[run] name"]


def flat(run: Run) -> dict[str, str]:
    """`[student] epochs` -> its value as in a configuration file."""
    parser = ConfigParser(interpolation=None)
    parser.read_string(run.config.to_ini())
    return {
        f"[{section}] {key}": value
        for section in parser.sections()
        for key, value in parser[section].items()
    }
