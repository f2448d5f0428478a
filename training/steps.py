"""A step maps a batch to its loss terms. The loop knows neither teachers nor methods."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from config import Config, ConfigError, Role, Student, UserError, choose
from data.loading.batches import Batch
from losses import LOSSES
from losses.mix import WHERE, names_of
from models.output import Output
from training.distributed import whole

TENSORS = ("logits", "embedding", "map")
GRAM = "_gram"  # map_gram: the inner products of the batch's maps, (B, B)


class Teacher(Protocol):
    """What a step asks of a teacher, whether its outputs are computed or looked up.

    `input_roles` are the roles whose inputs a batch must hold. The outputs are TENSORS, or those
    that the losses take of them; for a loss with `forward_gram` the Gram matrix may stand for
    the tensor.
    """

    input_roles: tuple[str, ...]

    def outputs(self, batch: Batch) -> Mapping[str, Tensor]: ...


class OnlineTeacher:
    """A frozen model that hears the very same disturbed clips as the student.

    Source: consistent teaching, Beyer et al., arXiv:2106.05237.
    """

    def __init__(self, model: nn.Module, role: str = "teacher") -> None:
        self.model, self.input_roles = model.eval().requires_grad_(False), (role,)

    @torch.no_grad()
    def outputs(self, batch: Batch) -> dict[str, Tensor]:
        return tensors_of(self.model(batch.inputs[self.input_roles[0]]))


class Step:
    """Labels, and teachers where a loss of the mix wants one; several teachers' terms are summed,
    each times its weight (1 where none is given).

    Where several processes share the batch, every loss is that of the whole batch.
    Gives {"loss": the weighted sum, name: each term without its weight}.
    """

    def __init__(
        self,
        model: nn.Module,
        role: str,
        losses: Mapping[str, nn.Module],
        coefficients: Mapping[str, float],
        teachers: Sequence[Teacher] = (),
        teacher_weights: Sequence[float] = (),
    ) -> None:
        self.model, self.role, self.teachers = model, role, teachers
        self.losses = nn.ModuleDict(losses)
        self.teacher_weights = teacher_weights or [1.0] * len(teachers)
        self.coefficients = {name: coefficients.get(name, 1.0) for name in losses}
        self.learns_from_teachers = any(loss.target == "teacher" for loss in losses.values())
        if self.learns_from_teachers and not teachers:
            raise ValueError("a distillation loss without a teacher")

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        # Teachers first: what they computed with is free again before the student keeps its own.
        taught = [t.outputs(batch) for t in self.teachers] if self.learns_from_teachers else []
        own = tensors_of(self.model(batch.inputs[self.role]))
        terms, clips = {}, len(batch.rows)
        with torch.autocast(batch.targets.device.type, enabled=False):
            for name, loss in self.losses.items():
                mine = whole(own[loss.student], clips)
                if loss.target == "labels":
                    terms[name] = loss(mine, batch.targets)
                else:
                    terms[name] = sum(
                        weight * distillation_term(loss, mine, said, clips)
                        for weight, said in zip(self.teacher_weights, taught, strict=True)
                    )
        return {"loss": sum(self.coefficients[n] * t for n, t in terms.items()), **terms}

    def state_dict(self) -> dict[str, Any]:
        """What the losses have learnt by themselves."""
        return self.losses.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.losses.load_state_dict(state)


def distillation_term(
    loss: nn.Module, mine: Tensor, teacher: Mapping[str, Tensor], clips: int
) -> Tensor:
    gram = teacher.get(loss.student + GRAM)
    if gram is not None and hasattr(loss, "forward_gram"):
        return loss.forward_gram(mine, gram)
    return loss(mine, whole(teacher[loss.student], clips))


def tensors_of(output: Output) -> dict[str, Tensor]:
    """TENSORS by name, the last of the maps, in float32 whatever the model computes in.

    Those that a model under torchrun was not asked for are left out.
    """
    if not isinstance(output, Output):
        raise UserError(
            f"a model gave {type(output).__name__}, want models.output.Output; models.own.Adapted "
            "wraps a module that knows nothing of it"
        )
    tensors = (output.logits, output.embedding, output.maps[-1] if output.maps else None)
    named = zip(TENSORS, tensors, strict=True)
    return {name: tensor.float() for name, tensor in named if tensor is not None}


def build_losses(variant: str, task: str, role: Role, config: Config) -> dict[str, nn.Module]:
    """The losses of a mix, each given those of the settings below that its constructor takes.

    Raises ConfigError for an unknown loss, and for one that does not fit the task or the role.
    """
    teaches = not isinstance(role, Student)
    where = "[teacher] losses" if teaches else WHERE
    settings: dict[str, Any] = {
        "task": task,
        "label_smoothing": role.label_smoothing,
        "centre_lr": role.centre_lr,
        "temperature": config.distillation.softmax_temperature,
        "temperature_on": config.distillation.temperature_on,
        "squared_temperature": config.distillation.squared_temperature,
        "standardise_logits": config.distillation.standardise_logits,
        "kd_reduction": config.distillation.kd_reduction,
    }
    losses = {}
    for name in names_of(variant):
        kind = choose(where, LOSSES, name)
        wrong = {"bce": "single_label", "ce": "multi_label", "centre": "multi_label"}.get(name)
        if wrong == task:
            raise ConfigError(
                where, f"found {name!r}, but the data set is {task.replace('_', '-')}"
            )
        if name == "kd" and task == "multi_label" and config.distillation.standardise_logits:
            raise ConfigError(
                "[distillation] standardise_logits",
                "found yes, but the data set is multi-label: a tag stands for itself, not against "
                "the other tags of its clip",
            )
        if teaches and kind.target == "teacher":
            raise ConfigError(where, f"found {name!r}, which learns from a teacher of its own")
        wanted = inspect.signature(kind).parameters
        losses[name] = kind(**{key: settings[key] for key in wanted if key in settings})
    return losses
