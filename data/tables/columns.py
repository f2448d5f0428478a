"""Columns of a table of millions of clips, in little memory, without one object per clip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np


class Column:
    """Texts or numbers, one per row; indexed like an array, and gives an array (of `str`).

    Stored as one value per row, or as the distinct values and a code per row (as in
    `pandas.Categorical`), whichever is smaller; texts as UTF-8 bytes of equal width (a zero byte at
    the end of a text is lost).
    """

    def __init__(self, values: np.ndarray, codes: np.ndarray | None = None) -> None:
        self.values, self.codes = values, codes

    @classmethod
    def of(cls, values: Iterable[Any]) -> Column:
        values = list(values)
        texts = bool(values) and isinstance(values[0], str)
        array = np.array([text.encode() for text in values] if texts else values)
        distinct, codes = np.unique(array, return_inverse=True)
        codes = codes.astype(np.min_scalar_type(len(distinct)))
        if distinct.nbytes + codes.nbytes < array.nbytes:
            return cls(distinct, codes)
        return cls(array)

    @classmethod
    def filled(cls, value: Any, rows: int) -> Column:
        """The same value in each row."""
        return cls(np.array([value]), np.zeros(rows, np.uint8))

    def __len__(self) -> int:
        return len(self.values if self.codes is None else self.codes)

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + (0 if self.codes is None else self.codes.nbytes)

    def raw(self, rows: Any = slice(None)) -> Any:
        """As `self[rows]`, with texts as UTF-8 bytes."""
        return self.values[rows] if self.codes is None else self.values[self.codes[rows]]

    def __getitem__(self, rows: Any) -> Any:
        if self.values.dtype.kind != "S":
            return self.raw(rows)
        if self.codes is not None and np.size(codes := self.codes[rows]) > len(self.values):
            return decoded(self.values)[codes]  # each distinct text once
        return decoded(self.raw(rows))

    def __iter__(self) -> Iterator[Any]:
        return iter(self[:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def take(self, rows: Any) -> Column:
        if self.codes is None:
            return Column(self.values[rows])
        return Column(self.values, self.codes[rows])


class StoredColumns(Mapping[str, Column]):
    """Columns in a file: some are kept in memory, the others are read at each access."""

    def __init__(self, path: Path, in_memory: Iterable[str] = ()) -> None:
        self.path = path
        with np.load(path) as file:
            self.names: list[str] = decoded(file["names"]).tolist()
        self.in_memory = {name: self.load(name) for name in in_memory}

    def __getitem__(self, name: str) -> Column:
        return self.in_memory[name] if name in self.in_memory else self.load(name)

    def load(self, name: str) -> Column:
        if name not in self.names:
            raise KeyError(name)
        member = f"column_{self.names.index(name)}"
        with np.load(self.path) as file:
            return Column(file[member], file.get(f"{member}_codes"))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def write_columns(
    file: IO[bytes], columns: Mapping[str, Column], others: Mapping[str, np.ndarray]
) -> None:
    """Into a .npz archive with other arrays; the same columns give the same bytes."""
    arrays = {**others, "names": np.array([name.encode() for name in columns])}
    for number, column in enumerate(columns.values()):
        arrays[f"column_{number}"] = column.values
        if column.codes is not None:
            arrays[f"column_{number}_codes"] = column.codes
    np.savez(file, **arrays)  # type: ignore[arg-type]


def decoded(texts: Any) -> Any:
    """Bytes -> str, an array of them -> an array of `str` objects."""
    if isinstance(texts, bytes):
        return texts.decode()
    return np.array([text.decode() for text in texts.tolist()], dtype=object)
