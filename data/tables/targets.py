"""Targets of millions of clips as a sparse matrix: few of the classes are present in a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array


class Targets:
    """An (N, K) float32 `scipy.sparse.csr_array` that is indexed with rows and gives dense arrays.

    The file has the arrays of the matrix under names of its own, and the column numbers in two
    bytes where they fit: scipy keeps them in four.
    """

    def __init__(self, matrix: csr_array) -> None:
        self.matrix = matrix
        self.shape = matrix.shape

    @classmethod
    def of(cls, labels: Sequence[Mapping[str, float]], classes: Sequence[str]) -> Targets:
        """From one {class: target} per clip; a class that is not named is 0."""
        column = {name: index for index, name in enumerate(classes)}
        rows = np.repeat(np.arange(len(labels), dtype=np.int32), [len(clip) for clip in labels])
        columns = np.array([column[name] for clip in labels for name in clip], np.int32)
        values = np.array([value for clip in labels for value in clip.values()], np.float32)
        matrix = csr_array((values, (rows, columns)), shape=(len(labels), len(classes)))
        matrix.eliminate_zeros()
        return cls(matrix)

    @classmethod
    def of_pairs(cls, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Targets:
        """1 for each pair of a row and a column, in any order; repeated pairs count once.

        Shapes: rows (P,), columns (P,), shape (N, K).
        """
        places = rows.astype(np.int32), columns.astype(np.int32)
        matrix = csr_array((np.ones(len(rows), np.float32), places), shape=shape)
        matrix.data[:] = 1  # repeated pairs were added up
        return cls(matrix)

    @classmethod
    def read(cls, path: Path, classes: int) -> Targets:
        """From a .npz archive that contains `arrays()` among others."""
        with np.load(path) as file:
            starts, columns, values = (file[name] for name in ("starts", "columns", "values"))
        parts = values, columns.astype(np.int32), starts.astype(np.int32)
        return cls(csr_array(parts, shape=(len(starts) - 1, classes)))

    def arrays(self) -> dict[str, np.ndarray]:
        """What is stored: row r has `values[starts[r] : starts[r + 1]]` at the same `columns`."""
        narrow = np.int16 if self.shape[1] < 2**15 else np.int32
        return {
            "starts": self.matrix.indptr.astype(np.int64),
            "columns": self.matrix.indices.astype(narrow),
            "values": self.matrix.data,
        }

    @property
    def nbytes(self) -> int:
        return self.matrix.indptr.nbytes + self.matrix.indices.nbytes + self.matrix.data.nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        return self.matrix[rows].toarray()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.matrix.toarray().astype(dtype or np.float32, copy=False)

    def take(self, rows: Any) -> Targets:
        """The matrix of some rows, given as positions, a slice or a mask."""
        return Targets(self.matrix[rows])

    def sum(self, weights: np.ndarray) -> np.ndarray:
        """The weighted sum of the rows: (N,) -> (K,) float64."""
        return weights.astype(np.float64) @ self.matrix

    def texts(self, classes: Sequence[str]) -> list[str]:
        """`dog=1;music=0.5`, one text per row; nine digits are exact for float32."""
        entries = zip(self.matrix.indices.tolist(), self.matrix.data.tolist(), strict=True)
        named = [f"{classes[column]}={value:.9g}" for column, value in entries]
        starts = self.matrix.indptr.tolist()
        return [";".join(named[start:end]) for start, end in pairwise(starts)]
