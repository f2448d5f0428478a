"""The one training loop, of teachers and students alike."""

from __future__ import annotations

import copy
import functools
import math
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from config import Role, UserError
from data.loading.batches import Batches
from models.output import CLASSIFIER
from models.quantised import freeze_ranges
from training.averaging import measure_batch_norm, running_mean
from training.device import forward_precision
from training.distributed import rank
from training.run_folder import TrainingFolder
from training.scalars import Scalars
from training.schedules import learning_rate
from training.steps import Step

OPTIMISERS = {
    "adam": torch.optim.Adam,
    "amsgrad": functools.partial(torch.optim.Adam, amsgrad=True),
    "adamw": torch.optim.AdamW,
    "sgd": functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}
HISTORY = ("epoch", "learning_rate", "loss", "score", "seconds")  # and each term of the loss


class Fitted(NamedTuple):
    history: pd.DataFrame
    said: Tensor | None  # the mean of `says` over the epochs from ensemble_start_epoch on


def fit(
    model: nn.Module,
    step: Step,
    batches: Batches,
    settings: Role,
    folder: TrainingFolder,
    *,
    seed: int,
    device: torch.device,
    precision: Literal["float32", "bfloat16"],
    validate: Callable[[nn.Module], float] | None,
    says: Callable[[nn.Module], Tensor] | None = None,
    freeze_from_epoch: int = 0,
    title: str,
) -> Fitted:
    """Train `model` for settings.epochs and leave the kept weights in it.

    `validate` gives the score that chooses the epoch, higher is better; first of equals;
    None keeps the last epoch; no epochs leave the weights as they are. With swa_start_epoch
    the mean of the weights is kept, whatever the scores. From freeze_from_epoch on (0: never) batch
    statistics and the ranges of int8 stand still. All randomness of an epoch
    follows from (seed, epoch) and, for what a model draws, the process; the whole state, that of
    `step` among it, is saved after each, so that a training that was killed ends with the same
    weights.
    """
    groups = parameter_groups(model, settings.backbone_lr_scale)
    optimiser = OPTIMISERS[settings.optimiser](
        groups,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        **({} if settings.optimiser == "sgd" else {"betas": settings.adam_betas}),
        fused=device.type == "cuda",  # one kernel for all parameters, where launches cost
    )
    state: dict[str, Any] = {"epoch": 0, "history": [], "best_score": None, "best": None}
    state |= {"average": None, "said": None}
    if saved := folder.read_checkpoint():
        model.load_state_dict(saved.pop("model"))
        optimiser.load_state_dict(saved.pop("optimiser"))
        step.load_state_dict(saved.pop("step"))
        state = saved
    bar = tqdm(
        total=settings.epochs,
        initial=state["epoch"],
        desc=title,
        unit="epoch",
        dynamic_ncols=True,
        disable=rank() > 0,
    )
    scalars = Scalars(folder.path, state["epoch"])
    for epoch in range(state["epoch"], settings.epochs):
        started = time.perf_counter()
        torch.manual_seed(seed * 1_000_003 + epoch + rank() * 15_485_863)
        model.train()
        if 0 < freeze_from_epoch <= epoch + 1:
            freeze_ranges(model)
        scores = [row["score"] for row in state["history"] if row["score"] is not None]
        sums: dict[str, Tensor] = {}
        for index, batch in enumerate(batches.epoch(epoch)):
            rate = learning_rate(settings, epoch * len(batches) + index, len(batches), scores)
            for group in optimiser.param_groups:
                group["lr"] = rate * group["share"]
            with forward_precision(device, precision):
                terms = step(batch)
            optimiser.zero_grad(set_to_none=True)
            terms["loss"].backward()
            if settings.gradient_clip:
                parameters = [p for group in groups for p in group["params"]]
                nn.utils.clip_grad_norm_(parameters, settings.gradient_clip)
            optimiser.step()
            for name, term in terms.items():
                sums[name] = sums.get(name, 0) + term.detach() * len(batch.rows)
        means = {name: float(total) / len(batches.sampler) for name, total in sums.items()}
        if not math.isfinite(means["loss"]):
            raise UserError(
                f"{title}: the loss is {means['loss']} in epoch {epoch + 1}; "
                "try a lower LEARNING_RATE"
            )
        score = validate(model) if validate else None
        state["history"].append(
            {
                "epoch": epoch + 1,
                "learning_rate": rate,
                **means,
                "score": score,
                "seconds": time.perf_counter() - started,
            }
        )
        state["epoch"] = epoch + 1
        if settings.swa_start_epoch:
            count = epoch + 2 - settings.swa_start_epoch
            if count > 0:
                state["average"] = running_mean(state["average"], model.state_dict(), count)
        elif validate and (state["best_score"] is None or score > state["best_score"]):
            state["best_score"], state["best"] = score, copy.deepcopy(model.state_dict())
        if 0 < settings.ensemble_start_epoch <= epoch + 1:
            share = says(model) / (settings.epochs + 1 - settings.ensemble_start_epoch)
            state["said"] = share if state["said"] is None else state["said"] + share
        folder.write_checkpoint(
            {
                **state,
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step.state_dict(),
            }
        )
        scalars.add(state["history"][-1])
        shown = {name: f"{value:.4f}" for name, value in means.items()}
        bar.set_postfix(shown | ({} if score is None else {"score": f"{score:.4f}"}))
        bar.update()
    bar.close()
    scalars.close()
    if state["average"] is not None:
        model.load_state_dict(state["average"])
        torch.manual_seed(seed * 1_000_003 + settings.epochs + rank() * 15_485_863)
        further = batches.epoch(settings.epochs)
        measure_batch_norm(model, (batch.inputs[step.role] for batch in further))
    elif state["best"] is not None:
        model.load_state_dict(state["best"])
    model.eval()
    history = pd.DataFrame(state["history"] or {name: [] for name in HISTORY})
    return Fitted(history, state["said"])


def parameter_groups(model: nn.Module, backbone_lr_scale: float) -> list[dict[str, Any]]:
    """All that is trained, and as `share` what of the learning rate each group is trained with.

    Source: the slow learner of Zhang et al. (SLCA), ICCV 2023. Raises UserError for a model whose
    classifier cannot be told from the rest.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if backbone_lr_scale == 1:
        return [{"params": list(trained.values()), "share": 1.0}]
    classifier = [p for name, p in trained.items() if name.startswith(CLASSIFIER)]
    backbone = [p for name, p in trained.items() if not name.startswith(CLASSIFIER)]
    if not classifier:
        raise UserError(
            f"backbone_lr_scale: no trained parameter of {type(model).__name__} begins with "
            f"{CLASSIFIER!r}"
        )
    return [
        {"params": backbone, "share": backbone_lr_scale},
        {"params": classifier, "share": 1.0},
    ]
