"""A step maps a batch to its loss terms, so that the loop is independent of teachers and losses."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from config import Config, ConfigError, Student, UserError, choose
from config import Role as RoleSettings
from data.loading.batches import Batch
from losses import LOSSES
from losses.loss import Loss, MixesTargets, TakesGram
from losses.mix import WHERE, names_of
from models.output import Output
from training.distributed import gather

TENSORS = ("logits", "embedding", "map")
GRAM = "_gram"  # map_gram: the inner products of the batch's maps, (B, B)


class Teacher(Protocol):
    """A teacher whose outputs are computed in each step or looked up.

    `input_roles` are the roles whose inputs a batch must have; without any, the outputs are looked
    up, and are mixed for mixed clips. The outputs are TENSORS, or those of them that the losses
    take; for a loss with `forward_gram` the Gram matrix may replace the tensor.
    """

    @property
    def input_roles(self) -> tuple[str, ...]: ...

    def outputs(self, batch: Batch) -> Mapping[str, Tensor]: ...


class OnlineTeacher:
    """A frozen model that takes the same augmented clips as the student, in every step.

    Source: consistent teaching, Beyer et al., arXiv:2106.05237.
    """

    def __init__(self, model: nn.Module, role: str = "teacher") -> None:
        self.model, self.input_roles = model.eval().requires_grad_(False), (role,)

    @torch.no_grad()
    def outputs(self, batch: Batch) -> dict[str, Tensor]:
        return tensors_of(self.model(batch.inputs[self.input_roles[0]]))


class Step:
    """The losses of a variant for one batch, from its labels and the outputs of its teachers.

    A distillation loss is summed over the teachers, each times its weight (default 1). A loss from
    labels is that of the labelled clips of the batch, 0 where there are none. Where several
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
        self.losses = losses
        self.teacher_weights = teacher_weights or [1.0] * len(teachers)
        self.coefficients = {name: coefficients.get(name, 1.0) for name in losses}
        self.uses_teachers = any(loss.target == "teacher" for loss in losses.values())
        if self.uses_teachers and not teachers:
            raise ValueError("a distillation loss without a teacher")

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        # Teachers first: their activations are freed before the student keeps its own.
        targets = [t.outputs(batch) for t in self.teachers] if self.uses_teachers else []
        student = tensors_of(self.model(batch.inputs[self.role]))
        terms: dict[str, Tensor] = {}
        clips = len(batch.rows)
        with torch.autocast(batch.targets.device.type, enabled=False):
            for name, loss in self.losses.items():
                output = gather(student[loss.student], clips)
                if loss.target == "labels":
                    terms[name] = label_term(loss, output, batch)
                else:
                    terms[name] = total(
                        weight
                        * distillation_term(
                            *(loss, output, target, clips),
                            None if teacher.input_roles else batch.mix,
                        )
                        for weight, teacher, target in zip(
                            self.teacher_weights, self.teachers, targets, strict=True
                        )
                    )
        return {"loss": total(self.coefficients[n] * t for n, t in terms.items()), **terms}

    def state_dict(self) -> dict[str, Any]:
        """The state of the losses, such as the centres of CentreLoss."""
        return nn.ModuleDict(self.losses).state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        nn.ModuleDict(self.losses).load_state_dict(state)


def total(terms: Iterable[Tensor]) -> Tensor:
    return functools.reduce(torch.add, terms)


def label_term(loss: Loss, student: Tensor, batch: Batch) -> Tensor:
    """The loss of the labelled clips; without any, a zero whose gradient is zero everywhere."""
    if batch.labelled is None:
        return loss(student, batch.targets)
    student = student[batch.labelled]
    return loss(student, batch.targets[batch.labelled]) if len(student) else student.sum()


def distillation_term(
    loss: Loss, student: Tensor, teacher: Mapping[str, Tensor], clips: int, mix: Tensor | None
) -> Tensor:
    """`mix` (B, B): the shares of the clips in the student's inputs where the teacher's outputs are
    those of the clips alone: targets of kd are mixed as probabilities, other tensors as they are.
    """
    gram = teacher.get(loss.student + GRAM)
    if gram is not None and isinstance(loss, TakesGram):
        return loss.forward_gram(student, gram if mix is None else mix @ gram @ mix.T)
    target = gather(teacher[loss.student], clips)
    if mix is None:
        return loss(student, target)
    if isinstance(loss, MixesTargets):
        return loss.forward_mixed(student, target, mix)
    return loss(student, torch.tensordot(mix, target, 1))


def tensors_of(output: Output) -> dict[str, Tensor]:
    """TENSORS by name, the last of the maps, in float32 whatever the model computes in.

    A tensor that the model does not give (maps, under torchrun) is left out.
    """
    if not isinstance(output, Output):
        raise UserError(
            f"a model returned {type(output).__name__}, expected models.output.Output; "
            "models.own.Adapted wraps a module that returns something else"
        )
    tensors = (output.logits, output.embedding, output.maps[-1] if output.maps else None)
    named = zip(TENSORS, tensors, strict=True)
    return {name: tensor.float() for name, tensor in named if tensor is not None}


def build_losses(
    variant: str,
    task: str,
    role: RoleSettings,
    config: Config,
    pos_weight: Tensor | None = None,
) -> dict[str, Loss]:
    """The losses of a variant, each with those of the settings below that its constructor takes.

    `pos_weight` (K,) is POS_WEIGHT by class.

    Raises ConfigError for an unknown loss, and for one that does not fit the task or the role.
    """
    of_teacher = not isinstance(role, Student)
    where = "[teacher] losses" if of_teacher else WHERE
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
        wrong = {"bce": "single_label", "ce": "multi_label", "centre": "multi_label"}.get(name)
        if wrong == task:
            found = f"found {name!r}, but the data set is {task.replace('_', '-')}"
            other = {"bce": "ce", "ce": "bce"}.get(name)
            raise ConfigError(where, f"{found}: write {other}" if other else found)
        if name == "kd" and task == "multi_label" and config.distillation.standardise_logits:
            raise ConfigError(
                "[distillation] standardise_logits",
                "found yes, but the data set is multi-label: its tags are independent, and have no "
                "common mean and std",
            )
        if of_teacher and kind.target == "teacher":
            raise ConfigError(where, f"found {name!r}, which requires a teacher")
        parameters = inspect.signature(kind).parameters
        losses[name] = kind(**{key: settings[key] for key in parameters if key in settings})
    return losses
