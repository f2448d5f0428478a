"""The file that a missing one was meant to be: names differ in ways that one does not see."""

from __future__ import annotations

import os
import unicodedata
from functools import lru_cache
from pathlib import Path


def absent(path: Path) -> str:
    """`no such file`, and the similar name that is there."""
    if "\\" in path.name and Path(str(path).replace("\\", "/")).is_file():
        return "no such file; separate folders by /, not by \\"
    similar = names_in(path.parent).get(alike(path.name))
    if similar is None:
        return "no such file"
    if similar.casefold() == path.name.casefold():
        return f"no such file; {similar} is there, with other capital letters"
    return f"no such file; {similar} is there, in another Unicode form (NFC or NFD)"


@lru_cache(maxsize=16)  # many files of a folder can be missing
def names_in(folder: Path) -> dict[str, str]:
    try:
        return {alike(name): name for name in sorted(os.listdir(folder))}
    except OSError:
        return {}


def alike(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
