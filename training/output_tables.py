"""Tensors of many clips on disk, in parts that are each written completely or not at all."""

from __future__ import annotations

import io
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from config import UserError
from data.checksums import SEAL_BYTES, unsealed, write_sealed

PART = 512  # clips in a file; a killed process loses at most these


@dataclass(frozen=True, slots=True)
class Table:
    """One tensor of N clips: <folder>/<name>.<dtype>.<first clip>.npy, each of PART clips, and at
    the end of each file its checksum.

    `shape` is (N, ...), `dtype` "float32" or "float16". A file gets its name once all its bytes
    are on the disk: a process may be killed, or the disk become full, at any time.
    """

    folder: Path
    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def starts(self) -> range:
        """The first clip of each part."""
        return range(0, self.shape[0], PART)

    def rows(self, start: int) -> slice:
        return slice(start, min(start + PART, self.shape[0]))

    def path(self, start: int) -> Path:
        return self.folder / f"{self.name}.{self.dtype}.{start:08d}.npy"

    def find(self, start: int) -> Tensor | None:
        """A part, mapped into memory; None where it is missing, cut short or of another shape.

        Its header is compared, not read: a damaged one can raise almost anything in numpy.
        """
        path, shape = self.path(start), self.part_shape(start)
        header = header_of(self.dtype, shape)
        size = len(header) + math.prod(shape) * np.dtype(self.dtype).itemsize + SEAL_BYTES
        try:
            with path.open("rb") as file:
                fits = file.read(len(header)) == header and path.stat().st_size == size
        except OSError:
            return None
        if not fits:
            return None
        return torch.from_numpy(np.memmap(path, self.dtype, "c", len(header), shape))

    def part_shape(self, start: int) -> tuple[int, ...]:
        rows = self.rows(start)
        return (rows.stop - rows.start, *self.shape[1:])

    def missing(self) -> list[int]:
        """The parts to compute. All others are read, to compare their checksums."""
        with ThreadPoolExecutor() as pool:
            intact = pool.map(self.intact, self.starts())
            return [start for start, found in zip(self.starts(), intact, strict=True) if not found]

    def intact(self, start: int) -> bool:
        """Whether a part is complete, and its content that which was written."""
        if self.find(start) is None:
            return False
        return unsealed(np.memmap(self.path(start), np.uint8, "r").data) is not None

    def part(self, start: int) -> Tensor:
        """Raises UserError where `find` gives None."""
        if (found := self.find(start)) is None:
            raise UserError(f"{self.path(start)}: missing or damaged; start again to compute it")
        return found

    def read(self) -> Tensor:
        return torch.cat([self.part(start) for start in self.starts()])

    def write(self, start: int, values: Tensor) -> None:
        """Raises UserError where the disk is full and where the type cannot represent a value."""
        path, array = self.path(start), values.cpu().contiguous().numpy()
        with np.errstate(over="ignore"):
            array = array.astype(self.dtype, copy=False)
        if not np.isfinite(array).all():
            raise UserError(
                f"{path}: a value of the teacher's {self.name} is not finite in {self.dtype}; "
                "set [distillation] TEACHER = online"
            )
        try:
            write_sealed(path, header_of(self.dtype, array.shape), array.data)
        except OSError as error:
            raise UserError(
                f"{path}: {error.strerror}. The finished parts are kept: free some space and "
                "start again, or set [run] TEACHER_CACHE_GB lower"
            ) from None

    def remove(self) -> None:
        for start in self.starts():
            self.path(start).unlink(missing_ok=True)


def header_of(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Of a .npy file."""
    header = io.BytesIO()
    described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()


class Mapped:
    """A table that stays on disk: mapped[positions] gives (B, ...) float32 on the device."""

    def __init__(self, table: Table, device: torch.device) -> None:
        self.parts, self.device = [table.part(start) for start in table.starts()], device

    def __getitem__(self, positions: Tensor) -> Tensor:
        clips = [self.parts[n // PART][n % PART] for n in positions.tolist()]
        return torch.stack(clips).to(self.device).float()
