"""Published logits: an array without names, and lists of its clips and classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from config import UserError, reason_of
from data.checksums import sha256_of
from data.tables.clips import read_csv
from models.tensor_file import load_tensors
from training.logits.table import Logits, check_each_once


def read_published(path: Path, clips: Path, classes: Path, strip: str = "") -> Logits:
    """`clips` lists the clip of each row, `classes` the class of each column, as `names_in` reads.

    `strip` is removed from the beginning of the name of each clip. The teacher's training clips
    are unknown. Raises UserError that names the row and the clip which do not fit.
    """
    values, names = read_array(path), names_in(clips)
    columns = tuple(names_in(classes))
    if len(values) != len(names):
        raise UserError(f"{path} has {len(values)} rows, but {clips} lists {len(names)} clips")
    if values.shape[1] != len(columns):
        found = f"{path} has {values.shape[1]} columns"
        raise UserError(f"{found}, but {classes} lists {len(columns)} classes")
    if len(set(columns)) < len(columns):
        raise UserError(f"{classes}: lists a class twice")
    if other := [name for name in names if not name.startswith(strip)]:
        raise UserError(f"{clips}: the clip {other[0]!r} does not begin with {strip!r}")
    ids = pd.Index([name.removeprefix(strip) for name in names])
    check_each_once(clips, ids)
    if len(lost := ids[~np.isfinite(values).all(axis=1)]):
        raise UserError(f"{path}: the logits of the clip {lost[0]!r} are not finite")
    made_from = {p.name: sha256_of(p) for p in (path, clips, classes)}
    return Logits(
        where=path,
        ids=ids,
        classes=columns,
        values=values,
        trained=None,
        record={},
        made_from=made_from,
    )


def read_array(path: Path) -> np.ndarray:
    """(N, K) float32 from a .npy or .pt file. A pickle of anything but a tensor is rejected
    unread. Raises UserError.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of logits")
    try:
        if path.suffix == ".npy":
            found: Any = np.load(path, allow_pickle=False)
        else:
            found = load_tensors(path, "logits")
    except (OSError, UserError):
        raise
    except Exception as error:  # a damaged file can raise almost anything
        raise UserError(f"{path}: cannot be read as logits: {reason_of(error)}") from error
    if isinstance(found, torch.Tensor):
        found = found.float().numpy()
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        raise UserError(f"{path}: expected one array of clips x classes, found something else")
    return found.astype(np.float32)


def names_in(path: Path) -> list[str]:
    """The lines of a text file, or the column `filename` of a .csv with commas or tabs.

    Raises UserError.
    """
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig") as file:
            delimiter = "\t" if "\t" in file.readline() else ","
        return [row["filename"] for _, row in read_csv(path, ["filename"], delimiter=delimiter)]
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected a text file with one name per line") from None
    if "" in lines:
        raise UserError(f"{path}: line {lines.index('') + 1} is empty, expected one name per line")
    return lines
