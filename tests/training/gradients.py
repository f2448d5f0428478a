"""One epoch's loss terms and gradients, in one process or, under torchrun, in several.

`torchrun … -m tests.training.gradients FILE` writes them; `… FILE RANK` ends with a UserError
in this rank only, in the middle of the epoch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import config
from config import Augment, UserError
from data.augment import Augmentation
from data.loading.batches import Batches, ClipFeatures
from losses import LOSSES
from losses.at import energies
from losses.sp import gram
from models import MODELS
from tests.training.conftest import two_classes
from training.distributed import data_parallel, processes, rank, world
from training.steps import OnlineTeacher, Step, tensors_of
from training.teacher_cache import CachedTeacher

CASES = {
    # the training clips in batches of 6, hence the size of the last; teacher; batch normalisation
    "last batch of 5": (17, "online", False),
    "last batch of 1": (13, "online", False),
    "cached teacher": (17, "cached", False),
    "batch norm": (17, "online", True),
    "batch norm without scale and shift": (17, "online", True),
    "clips without labels": (17, "online", False),
}


def gradients(case: str, broken_rank: int | None = None) -> list[dict[str, Tensor]]:
    """For each batch of all losses: terms, gradients, the buffers, also of the losses."""
    clips, teacher_kind, batch_norm = CASES[case]
    rows, cpu = np.arange(clips), torch.device("cpu")
    caches = {"teacher": two_classes(16), "student": two_classes(8)}
    views = {role: ClipFeatures(c, c.table.ids, cpu, 1.0) for role, c in caches.items()}
    model, frozen = (small_model(views[role], batch_norm) for role in ("student", "teacher"))
    if case == "batch norm without scale and shift":  # as CLASSIFIER_NORM of yamnet
        norm = nn.BatchNorm1d(model.fc2.out_features, affine=False)
        model.classifier = nn.Sequential(norm, model.classifier)
    losses = {
        "bce": LOSSES["bce"](),
        "kd": LOSSES["kd"](task="multi_label", temperature=2.0),
        "sp": LOSSES["sp"](),
        "centre": LOSSES["centre"](),
        "fitnet": LOSSES["fitnet"](),
        "at": LOSSES["at"](),
        "crd": LOSSES["crd"](size=4, negatives=5),
    }
    teacher = OnlineTeacher(frozen)
    augment = Augment(mixup_alpha=0.5, roll_seconds=0.05, gain_db=3, time_mask_seconds=0.03)
    augmentation = Augmentation(augment, 0.16, 8000.0)
    if teacher_kind == "cached":
        teacher, augmentation = in_memory(frozen.eval(), views["teacher"], rows), None
    targets = torch.as_tensor(np.asarray(caches["student"].table.targets))
    step = Step(data_parallel(model, losses.values()), "student", losses, {"sp": 10.0}, [teacher])
    labelled = torch.arange(len(targets)) % 3 > 0 if case == "clips without labels" else None
    batches = Batches(
        views, targets, rows, 6, 7, augmentation, labelled=labelled, rank=rank(), world=world()
    )
    step.build(model, batches, rows, seed=1)
    model.train()
    found = []
    for batch in batches.epoch(3):
        if rank() == broken_rank and found:
            raise UserError("the disk is full")
        terms = step(batch)
        model.zero_grad()
        step.modules().zero_grad()
        terms["loss"].backward()
        gradients_of = {name: p.grad.clone() for name, p in model.named_parameters()}
        buffers = {name: b.clone() for name, b in model.named_buffers()}
        of_losses = step.modules()
        buffers |= {name: b.clone().float() for name, b in of_losses.named_buffers()}
        gradients_of |= {name: p.grad.clone() for name, p in of_losses.named_parameters()}
        found.append({n: t.detach().clone() for n, t in terms.items()} | gradients_of | buffers)
    return found


@torch.no_grad()
def in_memory(model: nn.Module, view: ClipFeatures, rows: np.ndarray) -> CachedTeacher:
    outputs = tensors_of(model(view[torch.as_tensor(rows)]))
    pairs = gram(outputs["map"])
    look_up = {
        "logits": outputs["logits"].__getitem__,
        "map_gram": lambda at: pairs[at[:, None], at],
        "map": outputs["map"].__getitem__,
        "embedding": outputs["embedding"].__getitem__,
        "energies": lambda at: energies(tuple(one[at] for one in outputs["maps"])),
    }
    return CachedTeacher(rows, [look_up])


def small_model(view: ClipFeatures, batch_norm: bool) -> nn.Module:
    torch.manual_seed(view.shape[-1])
    return MODELS["dcase_small"](
        num_classes=2, input_shape=view.shape, width_mult=0.5, batch_norm=batch_norm
    )


def main(arguments: argparse.Namespace, _: config.Config) -> None:
    with processes("cpu"):
        found = {case: gradients(case, arguments.broken_rank) for case in CASES}
        torch.save(found, f"{arguments.file}.{rank()}")


if __name__ == "__main__":
    config.command_line.REPORT_DELAY_SECONDS = 0.3
    parser = config.script_parser(__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("broken_rank", type=int, nargs="?")
    config.run_script(main, parser)
