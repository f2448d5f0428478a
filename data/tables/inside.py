"""The recordings of a clip table lie in the folder of its data set."""

from __future__ import annotations

import os
from pathlib import Path

from config import UserError
from data.tables.clips import ClipTable, files_of


def check_inside(table: ClipTable, root: Path) -> None:
    """Raises UserError for the first recording outside `root`, also by way of a link.

    A table of others could name any file of this machine, whose contents would be in the features
    and in the page.
    """
    folder, known = os.path.realpath(root), {}
    for path in table.columns["path"]:
        for file in map(str, files_of(path)):
            parent = os.path.dirname(file)
            if parent not in known:  # realpath looks at each part of a path
                known[parent] = is_below(os.path.realpath(parent), folder)
            inside = known[parent] and os.path.basename(file) not in ("", ".", "..")
            if os.path.islink(file):
                inside = is_below(os.path.realpath(file), folder)
            if not inside:
                raise UserError(
                    f"{file}: outside {root}, the folder of the recordings; move it there, or set "
                    "[data] OUTSIDE_ROOT = allow if you trust the table of the clips"
                )


def is_below(path: str, folder: str) -> bool:
    return os.path.commonpath((path, folder)) == folder
