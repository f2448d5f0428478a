"""Outputs of a frozen teacher, computed once per clip and augmented view and stored on disk.

runs/<NAME>/teacher/seed_<s>/fold_<f>/outputs/<fingerprint>/    one folder per view
    made_from.json     all that the outputs depend on; with clips.txt the source of the fingerprint
    clips.txt          the ids of the clips, one line per row
    logits.float32.*   (N, K)
    map_gram.float32.* (N, N) inner products of the clips' maps: a batch takes a sub-matrix
    map.float16.*      (N, ...) maps, where their Gram matrix does not fit into memory
    maps.float32.*     (N, S) all maps of a clip, one after another
    energies.float32.* (N, S) their energies, in the same way
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from data.loading.batches import GIGABYTE, Batch, ClipFeatures
from data.loading.concatenated import ConcatenatedClips
from data.loading.positions import positions_of
from data.loading.replay import Replay
from data.lock import waiting
from losses import LOSSES
from losses.derived import DERIVED
from losses.mix import names_of
from training.distributed import barrier, rank
from training.output_tables import Mapped, Table
from training.run_folder import write_once
from training.steps import GRAM, Tensors, tensors_of

ROWS = ("logits", "embedding")  # so small that they are exact also where they are mapped
FORMAT = 1  # increased whenever the same settings give other outputs


class CachedTeacher:
    """Looks up the outputs of the teacher for the clips of `rows`, in each view."""

    input_roles: tuple[str, ...] = ()

    def __init__(
        self, rows: np.ndarray, views: Sequence[Mapping[str, Callable[[Tensor], Tensors]]]
    ) -> None:
        self.position = positions_of(rows)
        self.views = views

    def outputs(self, batch: Batch) -> dict[str, Tensors]:
        names, view = self.views[batch.view_index], batch.view_index
        return {name: self.look_up(view, name)(batch.rows) for name in names}

    def look_up(self, view: int, name: str) -> Callable[[Tensor], Tensors]:
        """From positions in the clip table, (B,), to an output."""
        return lambda rows: self.views[view][name](self.position[rows])


class TeacherCache:
    """The outputs of one frozen teacher for the clips of `rows`, on disk: one folder per view.

    An output is a tensor ("logits", "embedding", "map"), the Gram matrix of one ("map_gram"), or a
    tuple ("maps", "energies"). A Gram matrix is stored where it fits into memory; otherwise the
    tensor itself is: exact in memory, or float16 mapped from the disk. Finished parts are used
    again; missing ones are computed in float32.
    """

    def __init__(
        self,
        model: nn.Module,
        features: ClipFeatures | ConcatenatedClips,
        rows: np.ndarray,
        replay: Replay | None,
        folders: Sequence[Path],
        feature_memory_gb: float,
        teacher_cache_gb: float,
        role: str = "teacher",
    ) -> None:
        self.role, self.model, self.features, self.replay = role, model, features, replay
        self.rows, self.folders = torch.as_tensor(rows), folders
        self.resident, self.disk = feature_memory_gb * GIGABYTE, teacher_cache_gb * GIGABYTE
        first = self.forward(slice(1), 0)
        first["energies"] = output_of(first, "energies")
        self.map_shapes = {
            name: [tuple(one.shape[1:]) for one in first[name]] for name in ("maps", "energies")
        }
        self.shapes = {name: tuple(flat(one).shape[1:]) for name, one in first.items()}

    @torch.no_grad()
    def forward(self, places: slice, view: int) -> dict[str, Tensors]:
        rows = self.rows[places]
        if self.replay is None or isinstance(self.features, ConcatenatedClips):  # never augmented
            return tensors_of(self.model(self.features[rows]))
        rows, params = self.replay.take(rows, view)
        inputs = self.features.augmented(rows, self.replay.augmentation, params)
        return tensors_of(self.model(inputs))

    def stored_as(self, output: str) -> tuple[str, str] | None:
        """Name and type of the table that an output is read from; None where nothing fits."""
        tensor, views, clips = output.removesuffix(GRAM), len(self.folders), len(self.rows)
        gram, exact = 4 * views * clips**2, 4 * clips * math.prod(self.shapes[tensor])
        if output != tensor and gram <= self.resident and gram + exact <= self.disk:
            return output, "float32"
        if (tensor in ROWS or views * exact <= self.resident) and views * exact <= self.disk:
            return tensor, "float32"
        return (tensor, "float16") if views * exact / 2 <= self.disk else None

    def table(self, folder: Path, name: str, dtype: str) -> Table:
        clips, tensor = len(self.rows), name.removesuffix(GRAM)
        shape = (clips, *self.shapes[tensor]) if name == tensor else (clips, clips)
        return Table(folder, name, shape, dtype)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other run that shares the folder fills or clears it, between `fill` and `teacher`."""
        with waiting(self.folders[0].parent) if rank() == 0 else nullcontext():
            yield

    def fill(self, outputs: Iterable[str]) -> None:
        """Compute the missing parts of the outputs that fit: one process does, the others wait."""
        if rank() == 0:
            self.fill_here(outputs)
        barrier()

    def fill_here(self, outputs: Iterable[str]) -> None:
        stored = {found for name in outputs if (found := self.stored_as(name))}
        for index, folder in enumerate(self.folders):
            tables = [self.table(folder, *found) for found in sorted(stored)]
            features = {
                table: self.table(folder, table.name.removesuffix(GRAM), "float32")
                for table in tables
                if table.name.endswith(GRAM)
            }
            unfinished = {table: rows for table, rows in features.items() if table.missing()}
            self.compute([t for t in tables if t not in features] + [*unfinished.values()], index)
            for gram, rows in unfinished.items():
                multiply(rows, gram, self.features.device)
            for rows in set(features.values()) - set(tables):
                rows.remove()

    def compute(self, tables: Iterable[Table], view: int, batch_size: int = 32) -> None:
        """Forward passes for the missing parts of tables that have one row per clip."""
        tables = dict.fromkeys(tables)
        missing = {table: table.missing() for table in tables}
        starts = sorted(set().union(*missing.values()))
        title = f"outputs of the {self.role}, view {view + 1} of {len(self.folders)}"
        for start in tqdm(starts, desc=title, unit="part", disable=None if starts else True):
            unfinished = [table for table in tables if start in missing[table]]
            rows = unfinished[0].rows(start)
            found: dict[str, list[Tensor]] = {table.name: [] for table in unfinished}
            for first in range(rows.start, rows.stop, batch_size):
                outputs = self.forward(slice(first, min(first + batch_size, rows.stop)), view)
                for name, tensors in found.items():
                    tensors.append(flat(output_of(outputs, name)).cpu())
            for table in unfinished:
                table.write(start, torch.cat(found[table.name]))

    def filled(self, every: Iterable[str], outputs: Iterable[str]) -> CachedTeacher | None:
        """`teacher` of `outputs` after `fill` of `every`, with the folders to itself."""
        with self.alone():
            self.fill(every)
            return self.teacher(outputs)

    def teacher(self, outputs: Iterable[str]) -> CachedTeacher | None:
        """None where an output does not fit. Requires `fill` before it."""
        stored = []
        for name in outputs:
            if (found := self.stored_as(name)) is None:
                return None
            stored.append(found)
        views: list[dict[str, Callable[[Tensor], Tensors]]] = []
        for folder in self.folders:
            view: dict[str, Callable[[Tensor], Tensors]] = {}
            for name, dtype in stored:
                read = self.reader(self.table(folder, name, dtype))
                shapes = self.map_shapes.get(name)
                view[name] = functools.partial(unflattened, read, shapes) if shapes else read
            views.append(view)
        return CachedTeacher(self.rows.numpy(), views)

    def reader(self, table: Table) -> Callable[[Tensor], Tensor]:
        """From positions (B,) to (B, ...) float32, or to (B, B) of a Gram matrix."""
        device, size = self.features.device, table.bytes * len(self.folders)
        if size > self.resident:
            return Mapped(table, device).__getitem__
        values = table.read().to(device)
        if table.name.endswith(GRAM):
            return lambda at: values[at[:, None].to(device), at.to(device)]
        return lambda at: values[at.to(device)].float()


def output_of(outputs: Mapping[str, Tensors], name: str) -> Tensors:
    """An output of the model, or what follows from one, see `losses.derived`."""
    if name in outputs:
        return outputs[name]
    source, function = DERIVED[name]
    return function(outputs[source])


def flat(output: Tensors) -> Tensor:
    """The maps of a clip one after another, (B, S); any other output as it is."""
    if not isinstance(output, tuple):
        return output
    return torch.cat(
        [one.float().reshape(len(one), -1) for one in output or [torch.empty(1, 0)]], dim=1
    )


def unflattened(
    read: Callable[[Tensor], Tensor], shapes: Sequence[tuple[int, ...]], at: Tensor
) -> tuple[Tensor, ...]:
    """The inverse of `flat`, for the clips at these positions."""
    parts = read(at).split([math.prod(shape) for shape in shapes], dim=1)
    return tuple(one.unflatten(1, shape) for one, shape in zip(parts, shapes, strict=True))


def multiply(features: Table, gram: Table, device: torch.device) -> None:
    """Inner products of all pairs of clips, one part by one part at a time."""
    missing = gram.missing()
    done = set(gram.starts()).difference(missing)
    for start in missing:
        rows, own = gram.rows(start), features.part(start).to(device).flatten(1)
        columns = []
        for other in gram.starts():
            if other in done:  # the matrix is symmetric
                columns.append(gram.part(other)[:, rows].T)
            else:
                columns.append((own @ features.part(other).to(device).flatten(1).T).cpu())
        gram.write(start, torch.cat(columns, dim=1))
        done.add(start)


def required_outputs(variant: str) -> set[str]:
    """The outputs of a teacher that the losses of a variant take, and always the logits."""
    return {"logits"}.union(*(LOSSES[name].of_teacher() for name in names_of(variant)))


def outputs_folder(top: Path, made_from: Mapping[str, Any], ids: Sequence[str]) -> Path:
    """The folder of the outputs made from exactly this, for exactly these clips in this order."""
    text = json.dumps({"format": FORMAT, **made_from}, sort_keys=True, indent=1)
    clips = "".join(f"{name}\n" for name in ids)
    folder = top / hashlib.sha256(f"{text}\n{clips}".encode()).hexdigest()[:12]
    for name, content in (("clips.txt", clips), ("made_from.json", text)):
        if not (folder / name).exists() or (folder / name).read_bytes() != content.encode():
            write_once(folder / name, content)
    return folder
