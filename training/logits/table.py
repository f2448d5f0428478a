"""A logit file: what a teacher says of each clip, by the clip's id.

One .safetensors file. Tensors:
    logits   (N, K) float32
    clips    bytes: the ids of the N clips in UTF-8, a line each
    checks   (N,) uint32: CRC-32 of each id and its logits, so that no row can change its clip
    trained  (N,) bool: the clips that the teacher was trained on; left out where nobody knows
The header names the classes, what is known of the teacher, and the SHA-256 of all that it was made
from.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from config import UserError
from data.atomic_write import write

ENTRY = "soundstill_logits"  # of the header: one, because several have no fixed order


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """`where` is the file or the training that they are of, for messages.

    values (N, K) float32, trained (N,) bool; `record` is of the teacher's metrics.json, empty for a
    published file.
    """

    where: Path
    ids: pd.Index
    classes: tuple[str, ...]
    values: np.ndarray
    trained: np.ndarray | None
    record: Mapping[str, Any]
    made_from: Mapping[str, Any]

    def missing(self, ids: Sequence[str]) -> np.ndarray:
        """Those of `ids` that there are no logits for."""
        return np.asarray(ids)[self.ids.get_indexer(ids) < 0]

    def of(self, ids: Sequence[str], classes: Sequence[str]) -> np.ndarray:
        """The logits of these clips and classes, in this order, both taken by name: (N, K) float32.

        Raises UserError for a clip that is missing and for other classes.
        """
        if set(classes) != set(self.classes):
            lacks = sorted(set(classes) - set(self.classes)) or ["none"]
            adds = sorted(set(self.classes) - set(classes)) or ["none"]
            raise UserError(
                f"{self.where}: is of other classes: it lacks {', '.join(lacks[:5])} and adds "
                f"{', '.join(adds[:5])}"
            )
        if len(missing := self.missing(ids)):
            raise UserError(f"{self.where}: lacks {named(missing)}")
        found = self.values[self.ids.get_indexer(ids)]
        return found[:, [self.classes.index(name) for name in classes]]

    def write(self, path: Path) -> None:
        from safetensors.numpy import save

        tensors = {
            "logits": np.ascontiguousarray(self.values, np.float32),
            "clips": np.frombuffer("\n".join(self.ids).encode(), np.uint8),
            "checks": checks_of(self.ids, self.values),
        }
        if self.trained is not None:
            tensors["trained"] = self.trained
        header = {
            "classes": self.classes,
            "record": dict(self.record),
            "made_from": dict(self.made_from),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, save(tensors, {ENTRY: json.dumps(header)}))

    @classmethod
    def read(cls, path: Path) -> Logits:
        """Raises UserError that names what is wrong: the file, or the first clip that is."""
        tensors, header = load(path)
        ids = pd.Index(bytes(tensors["clips"]).decode().split("\n"))
        values, classes = tensors["logits"], tuple(header["classes"])
        if values.shape != (len(ids), len(classes)):
            found = " x ".join(map(str, values.shape))
            raise UserError(
                f"{path}: {found} logits of {len(ids)} clips and {len(classes)} classes"
            )
        check_each_once(path, ids)
        wrong = ids[tensors["checks"] != checks_of(ids, values)]
        if len(wrong):
            raise UserError(
                f"{path}: the logits of {named(wrong)} are not their own: rows or names were moved "
                "or changed"
            )
        return cls(
            where=path,
            ids=ids,
            classes=classes,
            values=values,
            trained=tensors.get("trained"),
            record=header["record"],
            made_from=header["made_from"],
        )


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{path}: no such file of logits")
    try:
        with safe_open(path, "np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            text = (file.metadata() or {}).get(ENTRY)
    except SafetensorError as error:
        raise UserError(f"{path}: cannot be read as logits: {error}") from None
    if text is None:
        raise UserError(
            f"{path}: nothing in it says whose logits these are; want what "
            "`python -m training.logits` wrote"
        )
    return tensors, json.loads(text)


def checks_of(ids: Sequence[str], values: np.ndarray) -> np.ndarray:
    rows = np.ascontiguousarray(values, "<f4")
    sums = [zlib.crc32(row, zlib.crc32(name.encode())) for name, row in zip(ids, rows, strict=True)]
    return np.array(sums, np.uint32)


def check_each_once(where: Path, ids: pd.Index) -> None:
    """Raises UserError that names a clip which is there twice, and the rows, from 1."""
    if ids.has_duplicates:
        name = ids[ids.duplicated()][0]
        rows = ", ".join(map(str, np.flatnonzero(ids == name) + 1))
        raise UserError(f"{where}: names the clip {name!r} twice, in the rows {rows}")


def named(clips: Sequence[str]) -> str:
    """The first by its name, and how many there are besides."""
    more = f" and {len(clips) - 1} more" if len(clips) > 1 else ""
    return f"the clip {str(clips[0])!r}{more}"
