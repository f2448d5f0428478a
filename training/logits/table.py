"""A logit file: the logits of a teacher for each clip, keyed by the clip's id.

One .safetensors file. Tensors:
    logits   (N, K) float32
    clips    bytes: the ids of the N clips in UTF-8, one per line
    checks   (N,) uint32: CRC-32 of each id and its logits, so that rows and ids cannot be exchanged
    trained  (N,) bool: the training clips of the teacher; left out where they are unknown
The header contains the classes, a record of the teacher, and the SHA-256 of all sources.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from config import UserError
from data.atomic_write import write
from training.class_order import difference

FILE = ".safetensors"  # the end of its name
EXPORTED = "logits.safetensors"  # its name in a folder of seeds and folds
ENTRY = "soundstill_logits"  # of the header: one, because several have no fixed order


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """`where` is the source, a file or a training, for error messages.

    values (N, K) float32, trained (N,) bool; `record` is taken from the teacher's metrics.json, and
    empty for a published file.
    """

    where: Path
    ids: pd.Index
    classes: tuple[str, ...]
    values: np.ndarray
    trained: np.ndarray | None
    record: Mapping[str, Any]
    made_from: Mapping[str, Any]

    def missing(self, ids: Sequence[str]) -> np.ndarray:
        """The `ids` without logits."""
        return np.asarray(ids)[self.ids.get_indexer(pd.Index(ids)) < 0]

    def of(self, ids: Sequence[str], classes: Sequence[str]) -> np.ndarray:
        """The logits of these clips and classes, found by name, in this order: (N, K) float32.

        Raises UserError for a clip that is missing and for other classes.
        """
        if set(classes) != set(self.classes):
            raise UserError(f"{self.where} is {difference(self.classes, classes)}")
        if len(missing := self.missing(ids)):
            raise UserError(f"{self.where}: lacks {named(missing)}")
        found = self.values[self.ids.get_indexer(pd.Index(ids))]
        return found[:, [self.classes.index(name) for name in classes]]

    def write(self, path: Path) -> None:
        from safetensors.numpy import save

        tensors: dict[str, np.ndarray] = {
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
        """Raises UserError that names the file or the first clip with an error."""
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
                f"{path}: the checksum of {named(wrong)} is wrong: rows or names were changed"
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
            f"{path}: its header does not describe logits; expected a file that "
            "`python -m training.logits` wrote"
        )
    return tensors, json.loads(text)


def checks_of(ids: Iterable[str], values: np.ndarray) -> np.ndarray:
    rows = np.ascontiguousarray(values, "<f4")
    sums = [zlib.crc32(row, zlib.crc32(name.encode())) for name, row in zip(ids, rows, strict=True)]
    return np.array(sums, np.uint32)


def check_each_once(where: Path, ids: pd.Index) -> None:
    """Raises UserError that names a clip which occurs twice, and its rows, from 1."""
    if ids.has_duplicates:
        name = ids[ids.duplicated()][0]
        rows = ", ".join(map(str, np.flatnonzero(ids == name) + 1))
        raise UserError(f"{where}: lists the clip {name!r} twice, in the rows {rows}")


def named(clips: Sequence[str] | np.ndarray | pd.Index) -> str:
    """The name of the first, and the number of the others."""
    more = f" and {len(clips) - 1} more" if len(clips) > 1 else ""
    return f"the clip {str(clips[0])!r}{more}"
