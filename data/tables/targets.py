"""Targets of millions of clips: few classes of many are heard in one, the others take no memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np


class Targets:
    """An (N, K) float32 matrix of which only what is not zero is held, row by row.

    Indexed with rows alone, as an array is, and gives an array. Row r holds
    `values[starts[r] : starts[r + 1]]`, at `columns` of the same places.
    """

    def __init__(
        self, starts: np.ndarray, columns: np.ndarray, values: np.ndarray, classes: int
    ) -> None:
        self.starts, self.columns, self.values = starts, columns, values
        self.shape = (len(starts) - 1, classes)

    @classmethod
    def of(cls, labels: Sequence[Mapping[str, float]], classes: Sequence[str]) -> Targets:
        """Of one {class: target} a clip; a class that is not named is 0."""
        column = {name: index for index, name in enumerate(classes)}
        rows = [
            sorted((column[name], target) for name, target in named.items() if np.float32(target))
            for named in labels
        ]
        entries = np.array([entry for row in rows for entry in row], np.float64).reshape(-1, 2)
        columns = entries[:, 0].astype(column_type(len(classes)))
        starts = np.cumsum([0, *map(len, rows)])
        return cls(starts, columns, entries[:, 1].astype(np.float32), len(classes))

    @classmethod
    def of_pairs(cls, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Targets:
        """1 where a row and a column are a pair, in any order; a pair that is given twice is one.

        Shapes: rows (P,), columns (P,), shape (N, K).
        """
        pairs = np.unique(rows.astype(np.int64) * shape[1] + columns)
        starts = np.searchsorted(pairs, np.arange(shape[0] + 1) * shape[1])
        narrow = column_type(shape[1])
        return cls(
            starts, (pairs % shape[1]).astype(narrow), np.ones(len(pairs), np.float32), shape[1]
        )

    @classmethod
    def read(cls, path: Path, classes: int) -> Targets:
        """From a .npz archive that holds `arrays()` among others."""
        with np.load(path) as file:
            return cls(*(file[name] for name in ("starts", "columns", "values")), classes)

    def arrays(self) -> dict[str, np.ndarray]:
        return {"starts": self.starts, "columns": self.columns, "values": self.values}

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays().values())

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, int | np.integer):
            return self[[rows]][0]
        part = self.take(rows)
        found = np.zeros(part.shape, np.float32)
        found[np.repeat(np.arange(len(part)), np.diff(part.starts)), part.columns] = part.values
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def take(self, rows: Any) -> Targets:
        """The matrix of some rows, given as positions, a slice or a mask."""
        rows = np.arange(len(self))[rows]
        counts = np.diff(self.starts)[rows]
        starts = np.cumsum([0, *counts])
        places = np.repeat(self.starts[rows] - starts[:-1], counts) + np.arange(starts[-1])
        return Targets(starts, self.columns[places], self.values[places], self.shape[1])

    def sum(self, weights: np.ndarray) -> np.ndarray:
        """Of the rows, each times its weight: (N,) -> (K,) float64."""
        each = np.repeat(weights.astype(np.float64), np.diff(self.starts)) * self.values
        return np.bincount(self.columns, each, minlength=self.shape[1])

    def texts(self, classes: Sequence[str]) -> list[str]:
        """`dog=1;music=0.5`, a row each; nine digits are exact for float32."""
        entries = zip(self.columns.tolist(), self.values.tolist(), strict=True)
        named = [f"{classes[column]}={value:.9g}" for column, value in entries]
        starts = self.starts.tolist()
        return [";".join(named[start:end]) for start, end in pairwise(starts)]


def column_type(classes: int) -> type[np.signedinteger]:
    return np.int16 if classes < 2**15 else np.int32
