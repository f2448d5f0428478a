"""A frozen teacher says the same of the same view of a clip in every epoch: ask it once.

runs/<NAME>/teacher/seed_<s>/fold_<f>/outputs/<fingerprint>/    one folder a view of the clips
    made_from.json     all that the outputs depend on; with the clips it makes the fingerprint
    clips.txt          the ids of the clips, a line a row
    logits.float32.*   (N, K)
    map_gram.float32.* (N, N) inner products of the clips' maps: a batch takes a sub-matrix
    map.float16.*      (N, ...) maps, where their Gram matrix does not fit into memory
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from data.loading.batches import GIGABYTE, Batch, ClipFeatures
from data.loading.replay import Replay
from losses import LOSSES
from losses.mix import names_of
from training.output_tables import Mapped, Table
from training.run_folder import write_once
from training.steps import GRAM, tensors_of

FORMAT = 1  # raised whenever the same settings come to give other outputs


class CachedTeacher:
    """Looks up what the teacher said of each clip of `rows`, in each view."""

    input_roles = ()

    def __init__(
        self, rows: np.ndarray, views: Sequence[Mapping[str, Callable[[Tensor], Tensor]]]
    ) -> None:
        self.position = torch.full((int(rows.max()) + 1,), len(rows))  # no position: out of range
        self.position[rows] = torch.arange(len(rows))
        self.views = views

    def outputs(self, batch: Batch) -> dict[str, Tensor]:
        at = self.position[batch.rows]
        return {name: look_up(at) for name, look_up in self.views[batch.view_index].items()}


class TeacherCache:
    """What one frozen teacher says of the clips of `rows`, on disk: a folder a view.

    `asked` names what losses take of a teacher: a tensor ("logits", "embedding", "map") or the Gram
    matrix of one ("map_gram"). A Gram matrix is kept where it fits into memory; otherwise, as what
    other losses ask for, the tensor itself: exact in memory, or float16 mapped from the disk. What
    is finished is used again; the model runs in float32 for what is not.
    """

    def __init__(
        self,
        model: nn.Module,
        view: ClipFeatures,
        rows: np.ndarray,
        replay: Replay | None,
        folders: Sequence[Path],
        feature_memory_gb: float,
        teacher_cache_gb: float,
    ) -> None:
        self.model, self.view, self.replay = model, view, replay
        self.rows, self.folders = torch.as_tensor(rows), folders
        self.resident, self.disk = feature_memory_gb * GIGABYTE, teacher_cache_gb * GIGABYTE
        self.shapes = {name: tuple(t.shape[1:]) for name, t in self.said(slice(1), 0).items()}

    @torch.no_grad()
    def said(self, at: slice, index: int) -> dict[str, Tensor]:
        rows = self.rows[at]
        if self.replay is None:
            return tensors_of(self.model(self.view[rows]))
        heard, drawn = self.replay.take(rows, index)
        return tensors_of(self.model(self.view.augmented(heard, self.replay.augmentation, drawn)))

    def kept_as(self, asked: str) -> tuple[str, str] | None:
        """Name and type of the table that answers for `asked`; None where nothing fits."""
        tensor, views, clips = asked.removesuffix(GRAM), len(self.folders), len(self.rows)
        gram, exact = 4 * views * clips**2, 4 * clips * math.prod(self.shapes[tensor])
        if asked != tensor and gram <= self.resident and gram + exact <= self.disk:
            return asked, "float32"
        if (tensor == "logits" or views * exact <= self.resident) and views * exact <= self.disk:
            return tensor, "float32"
        return (tensor, "float16") if views * exact / 2 <= self.disk else None

    def table(self, folder: Path, name: str, dtype: str) -> Table:
        clips, tensor = len(self.rows), name.removesuffix(GRAM)
        shape = (clips, *self.shapes[tensor]) if name == tensor else (clips, clips)
        return Table(folder, name, shape, dtype)

    def fill(self, asked: Iterable[str]) -> None:
        """Compute what is missing, as far as it fits."""
        kept = {found for name in asked if (found := self.kept_as(name))}
        for index, folder in enumerate(self.folders):
            tables = [self.table(folder, *found) for found in sorted(kept)]
            features = {
                table: self.table(folder, table.name.removesuffix(GRAM), "float32")
                for table in tables
                if table.name.endswith(GRAM)
            }
            unfinished = {table: rows for table, rows in features.items() if table.missing()}
            self.listen([t for t in tables if t not in features] + [*unfinished.values()], index)
            for gram, rows in unfinished.items():
                multiply(rows, gram, self.view.device)
            for rows in set(features.values()) - set(tables):
                rows.remove()

    def listen(self, tables: Iterable[Table], index: int, batch_size: int = 32) -> None:
        """Ask the teacher for the missing parts of tables that have a row a clip."""
        tables = dict.fromkeys(tables)
        missing = {table: table.missing() for table in tables}
        starts = sorted(set().union(*missing.values()))
        title = f"teacher outputs, view {index + 1} of {len(self.folders)}"
        for start in tqdm(starts, desc=title, unit="part", disable=not starts):
            wanted = [table for table in tables if start in missing[table]]
            rows = wanted[0].rows(start)
            found: dict[str, list[Tensor]] = {table.name: [] for table in wanted}
            for first in range(rows.start, rows.stop, batch_size):
                said = self.said(slice(first, min(first + batch_size, rows.stop)), index)
                for name, tensors in found.items():
                    tensors.append(said[name].cpu())
            for table in wanted:
                table.write(start, torch.cat(found[table.name]))

    def teacher(self, asked: Iterable[str]) -> CachedTeacher | None:
        """None where something does not fit. Wants `fill` first."""
        kept = [self.kept_as(name) for name in asked]
        if None in kept:
            return None
        views = [
            {name: self.reader(self.table(folder, name, dtype)) for name, dtype in kept}
            for folder in self.folders
        ]
        return CachedTeacher(self.rows.numpy(), views)

    def reader(self, table: Table) -> Callable[[Tensor], Tensor]:
        """From positions (B,) to (B, ...) float32, or to (B, B) of a Gram matrix."""
        device, size = self.view.device, table.bytes * len(self.folders)
        if size > self.resident:
            return Mapped(table, device).__getitem__
        whole = table.whole().to(device)
        if table.name.endswith(GRAM):
            return lambda at: whole[at[:, None].to(device), at.to(device)]
        return lambda at: whole[at.to(device)].float()


def multiply(features: Table, gram: Table, device: torch.device) -> None:
    """Inner products of all pairs of clips, a part of the rows against a part at a time."""
    for start in gram.missing():
        rows, own = gram.rows(start), features.part(start).to(device).flatten(1)
        columns = []
        for other in gram.starts():
            if (done := gram.find(other)) is not None:  # the matrix is symmetric
                columns.append(done[:, rows].T)
            else:
                columns.append((own @ features.part(other).to(device).flatten(1).T).cpu())
        gram.write(start, torch.cat(columns, dim=1))


def required_outputs(variant: str) -> set[str]:
    """What the losses of a mix take of a teacher; the logits always."""
    taught = [LOSSES[name] for name in names_of(variant) if LOSSES[name].target == "teacher"]
    kinds = (GRAM if hasattr(loss, "forward_gram") else "" for loss in taught)
    return {"logits", *(loss.student + kind for loss, kind in zip(taught, kinds, strict=True))}


def outputs_folder(top: Path, made_from: Mapping[str, Any], ids: Sequence[str]) -> Path:
    """The folder of what was made from exactly this, of exactly these clips in this order."""
    text = json.dumps({"format": FORMAT, **made_from}, sort_keys=True, indent=1)
    clips = "".join(f"{name}\n" for name in ids)
    folder = top / hashlib.sha256(f"{text}\n{clips}".encode()).hexdigest()[:12]
    if not (folder / "made_from.json").exists():
        write_once(folder / "clips.txt", clips)
        write_once(folder / "made_from.json", text)
    return folder
