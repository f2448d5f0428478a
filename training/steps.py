"""A step maps a batch to its loss terms, so that the loop is independent of teachers and losses."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from config import (
    Config,
    ConfigError,
    RoleSettings,
    Student,
    UserError,
    choose,
    constructor_options,
)
from data.loading.batches import Batch, Batches
from data.loading.positions import positions_of
from losses import LOSSES
from losses.derived import DERIVED
from losses.loss import GIVEN, Loss
from losses.mix import VARIANTS, names_of
from models.output import Output
from training.distributed import gather

GRAM = "_gram"  # map_gram: the inner products of the batch's maps, (B, B)
Tensors = Any  # an output of a model: a tensor, or the maps as a tuple


class Teacher(Protocol):
    """A teacher whose outputs are computed in each step or looked up.

    `input_roles` are the roles whose inputs a batch must have; without any, the outputs are looked
    up, and are mixed for mixed clips. The outputs are those of `tensors_of`, or those of them that
    the losses take; one of DERIVED may replace what it follows from.
    """

    @property
    def input_roles(self) -> tuple[str, ...]: ...

    def outputs(self, batch: Batch) -> Mapping[str, Tensors]: ...


class OnlineTeacher:
    """A frozen model that takes the same augmented clips as the student, in every step.

    Source: consistent teaching, Beyer et al., arXiv:2106.05237.
    """

    def __init__(self, model: nn.Module, role: str = "teacher") -> None:
        self.model, self.input_roles = model.eval().requires_grad_(False), (role,)

    @torch.no_grad()
    def outputs(self, batch: Batch) -> dict[str, Tensors]:
        return tensors_of(self.model(batch.inputs[self.input_roles[0]]))


class Step:
    """The losses of a variant for one batch, from its labels and the outputs of its teachers.

    A distillation loss is summed over the teachers, each times its weight (default 1). A loss that
    takes labels is that of the labelled clips of the batch, 0 where there are none. Where several
    processes share the batch, every loss is that of the full batch.
    Gives {"loss": the weighted sum, name: each term without its coefficient}.
    """

    def __init__(
        self,
        model: nn.Module,
        role: str,
        losses: Mapping[str, Loss],
        coefficients: Mapping[str, float],
        teachers: Sequence[Teacher] = (),
        teacher_weights: Sequence[float] = (),
    ) -> None:
        self.model, self.role, self.teachers = model, role, teachers
        self.teacher_weights = teacher_weights or [1.0] * len(teachers)
        self.coefficients = {name: coefficients.get(name, 1.0) for name in losses}
        self.uses_teachers = any(loss.takes_teacher for loss in losses.values())
        if self.uses_teachers and not teachers:
            raise ValueError("a distillation loss without a teacher")
        # One instance for each teacher: adapters and memories are not shared.
        self.losses = {
            name: [loss, *(copy.deepcopy(loss) for _ in teachers[1:] if loss.takes_teacher)]
            for name, loss in losses.items()
        }
        self.position = torch.empty(0, dtype=torch.long)

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        # Teachers first: their activations are freed before the student keeps its own.
        of_teachers = self.teacher_outputs(batch)
        student = tensors_of(self.model(batch.inputs[self.role]))
        terms: dict[str, Tensor] = {}
        with torch.autocast(batch.targets.device.type, enabled=False):
            for name, weight, loss, taken in self.arguments(batch, student, of_teachers):
                term = weight * value_of(loss, taken, batch.labelled)
                terms[name] = terms[name] + term if name in terms else term
        return {"loss": total(self.coefficients[n] * t for n, t in terms.items()), **terms}

    def teacher_outputs(self, batch: Batch) -> list[Mapping[str, Tensors]]:
        """Of each teacher: those that a loss takes, so that no other activation is kept."""
        if not self.uses_teachers:
            return []
        taken = {name for copies in self.losses.values() for name in copies[0].of_teacher()}
        taken |= {DERIVED[name][0] for name in taken if name in DERIVED}
        found = (teacher.outputs(batch) for teacher in self.teachers)
        return [{name: one for name, one in of.items() if name in taken} for of in found]

    def arguments(
        self,
        batch: Batch,
        student: Mapping[str, Tensors],
        of_teachers: Sequence[Mapping[str, Tensors]],
    ) -> Iterator[tuple[str, float, Loss, dict[str, Any]]]:
        """Each loss, once for each teacher that it is distilled from: its name, the weight of the
        teacher, the loss, and the arguments that it takes, of the full batch.
        """
        clips, device = len(batch.rows), batch.targets.device
        taken = {name for copies in self.losses.values() for name in copies[0].of_student()}
        given: dict[str, Any] = {"labels": batch.targets}
        given |= {f"student_{name}": full(student[name], clips) for name in sorted(taken)}
        if len(self.position):
            given["clips"] = self.position[batch.rows].to(device)
        for name, copies in self.losses.items():
            if not copies[0].takes_teacher:
                yield name, 1.0, copies[0], {key: given[key] for key in copies[0].takes}
                continue
            for weight, loss, teacher, outputs in zip(
                self.teacher_weights, copies, self.teachers, of_teachers, strict=True
            ):
                mix = None if teacher.input_roles else batch.mix
                mixed = {**given, "mix": mix}
                for output in loss.of_teacher():
                    share = None if "mix" in loss.takes else mix
                    mixed[f"teacher_{output}"] = teacher_output(outputs, output, clips, share)
                yield name, weight, loss, {key: mixed[key] for key in loss.takes}

    @torch.no_grad()
    def build(self, model: nn.Module, batches: Batches, rows: np.ndarray, seed: int) -> None:
        """Create the parameters and buffers of the losses, from the shapes of one batch.

        `model`: the student, in evaluation mode afterwards. `rows`: the training clips.
        """
        copies = [loss for same in self.losses.values() for loss in same]
        if all(type(loss).build is Loss.build for loss in copies):
            return
        self.position = positions_of(rows)
        batch = next(batches.epoch(0))
        of_teachers = self.teacher_outputs(batch)
        student = tensors_of(model.eval()(batch.inputs[self.role]))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for _, _, loss, taken in self.arguments(batch, student, of_teachers):
                shapes = {name: shape_of(tensor) for name, tensor in taken.items()}
                loss.build({**shapes, "clips": len(rows)})
                loss.to(batch.targets.device)

    def modules(self) -> nn.ModuleDict:
        return nn.ModuleDict({name: nn.ModuleList(same) for name, same in self.losses.items()})

    def parameters(self) -> list[nn.Parameter]:
        """Those of the losses, such as adapters."""
        return list(self.modules().parameters())

    def state_dict(self) -> dict[str, Any]:
        """The parameters and buffers of the losses, such as the centres of CentreLoss."""
        return self.modules().state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.modules().load_state_dict(state)


def total(terms: Iterable[Tensor]) -> Tensor:
    return functools.reduce(torch.add, terms)


def each(function: Callable[[Tensor], Tensor], output: Tensors) -> Tensors:
    """Of a tensor, or of each of the maps."""
    return tuple(map(function, output)) if isinstance(output, tuple) else function(output)


def full(output: Tensors, clips: int) -> Tensors:
    """An output of all clips of the batch, in float32."""
    return each(lambda tensor: gather(tensor.float(), clips), output)


def shape_of(output: Tensors | None) -> Any:
    """Without the axis of the clips."""
    if isinstance(output, tuple):
        return tuple(tuple(one.shape[1:]) for one in output)
    return None if output is None else tuple(output.shape[1:])


def value_of(loss: Loss, taken: dict[str, Any], labelled: Tensor | None) -> Tensor:
    """The loss; one that takes labels: of the labelled clips, and without any a zero whose gradient
    is zero everywhere.
    """
    if labelled is None or "labels" not in taken:
        return loss(**taken)
    taken = {name: each(lambda tensor: tensor[labelled], output) for name, output in taken.items()}
    if len(taken["labels"]):
        return loss(**taken)
    of_student = [taken[f"student_{name}"] for name in loss.of_student()]
    tensors = (one for many in of_student for one in (many if isinstance(many, tuple) else [many]))
    return total(tensor.sum() for tensor in tensors)


def teacher_output(
    outputs: Mapping[str, Tensors], name: str, clips: int, mix: Tensor | None
) -> Tensors:
    """One output of a teacher for all clips of the batch, without a gradient.

    `mix` (B, B): the shares of the clips in the student's inputs where the teacher's outputs are
    those of the clips alone, and are to be mixed in the same way.
    """
    if name in DERIVED and name not in outputs:
        source, function = DERIVED[name]
        return function(teacher_output(outputs, source, clips, mix))
    if name.endswith(GRAM):
        return outputs[name] if mix is None else mix @ outputs[name] @ mix.T
    output = each(Tensor.detach, full(outputs[name], clips))
    return output if mix is None else each(lambda one: torch.tensordot(mix, one, 1), output)


def tensors_of(output: Output) -> dict[str, Tensors]:
    """logits, embedding, map (the last of the maps) and maps, by these names; all but the maps in
    float32 whatever the model computes in.

    A tensor that the model does not give (maps, under torchrun) is left out.
    """
    if not isinstance(output, Output):
        raise UserError(
            f"a model returned {type(output).__name__}, expected models.output.Output; "
            "models.own.Adapted wraps a module that returns something else"
        )
    found = {"logits": output.logits.float(), "embedding": output.embedding.float()}
    if output.maps:
        found["map"] = output.maps[-1].float()
    return {**found, "maps": tuple(output.maps)}


def build_losses(
    variant: str,
    task: str,
    role: RoleSettings,
    config: Config,
    pos_weight: Tensor | None = None,
) -> dict[str, Loss]:
    """The losses of a variant, each with those of the settings below that its constructor takes,
    and with its keys of [loss.NAME].

    `pos_weight` (K,) is POS_WEIGHT by class.

    Raises ConfigError for an unknown loss, and for one that does not fit the task or the role.
    """
    of_teacher = not isinstance(role, Student)
    where = "[teacher] losses" if of_teacher else VARIANTS
    settings: dict[str, Any] = {
        "task": task,
        "label_smoothing": role.label_smoothing,
        "pos_weight": pos_weight,
        "centre_lr": role.centre_lr,
        "temperature": config.distillation.softmax_temperature,
        "temperature_on": config.distillation.temperature_on,
        "squared_temperature": config.distillation.squared_temperature,
        "standardise_logits": config.distillation.standardise_logits,
        "kd_reduction": config.distillation.kd_reduction,
    }
    if role.pos_weight and task == "single_label":
        section = "teacher" if of_teacher else "student"
        found = f"found {role.pos_weight!r}, but the data set is single-label and has no loss bce"
        raise ConfigError(f"[{section}] pos_weight", found)
    losses = {}
    for name in names_of(variant):
        kind = choose(where, LOSSES, name)
        if task not in kind.tasks:
            found = f"found {name!r}, but the data set is {task.replace('_', '-')}"
            other = {"bce": "ce", "ce": "bce"}.get(name)
            raise ConfigError(where, f"{found}: write {other}" if other else found)
        if of_teacher and kind.takes_teacher:
            raise ConfigError(where, f"found {name!r}, which requires a teacher")
        own = loss_options(config, name)
        parameters = inspect.signature(kind).parameters
        shared = {key: settings[key] for key in parameters if key in settings}
        try:
            losses[name] = kind(**{**shared, **own})
        except ConfigError as error:
            section = f"loss.{name}" if error.where in own else "distillation"
            raise ConfigError(f"[{section}] {error.where}", error.message) from None
    return losses


def loss_options(config: Config, name: str) -> dict[str, Any]:
    """The keys of [loss.NAME]. Raises ConfigError for an unknown loss or key, or a wrong value."""
    where = f"[loss.{name}]"
    kind = choose(where, LOSSES, name)
    if name not in config.losses:
        return {}
    return constructor_options(where, config.losses[name], kind, GIVEN)
