"""Tests of every registered loss."""

import inspect
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

import losses
from losses import LOSSES
from losses.loss import ARGUMENTS, Loss
from tests.losses.examples import (
    arguments,
    build,
    each,
    like_student,
    tensors_in,
)

CASES = [(name, task) for name, loss in sorted(LOSSES.items()) for task in loss.tasks]
OF_TEACHER = [(name, task) for name, task in CASES if LOSSES[name].takes_teacher]
NOT_ZERO = {"crd", "fitnet", "focus", "nkd", "vid"}
"""With an adapter that starts at random, labels, or a memory: not zero where the outputs agree."""


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_docstring_lists_every_option(name):
    text = inspect.getdoc(LOSSES[name])
    assert text.splitlines()[0].endswith(".")
    assert "\nShapes: " in text
    assert not LOSSES[name].takes_teacher or "\nSource: " in text
    block = text.partition("\nOptions:\n")[2].partition("\n\n")[0]
    documented = set(re.findall(r"^    (\w+): ", block, re.MULTILINE))
    parameters = inspect.signature(LOSSES[name]).parameters.values()
    assert documented == {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_takes_arguments_by_name(name):
    loss = LOSSES[name]
    assert loss.of_student()
    assert set(loss.takes) <= ARGUMENTS
    for parameter in inspect.signature(loss).parameters.values():
        if parameter.name not in ("args", "kwargs"):  # of nn.Module, where a loss takes nothing
            assert parameter.kind is parameter.KEYWORD_ONLY
            assert parameter.default is not parameter.empty or parameter.name == "task"


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_loss_is_a_scalar_with_finite_gradients_for_student_and_parameters(name, task):
    taken = each(arguments(name, task=task), "student", lambda t: t.requires_grad_())
    loss = build(name, taken, task=task)
    value = loss(**taken)
    value.backward()
    assert value.shape == ()
    assert value.isfinite()
    for tensor in tensors_in(taken, "student"):
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().sum() > 0
    for parameter in loss.parameters():
        assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize(("name", "task"), [case for case in OF_TEACHER if case[0] not in NOT_ZERO])
def test_a_distillation_loss_is_zero_where_student_equals_teacher(name, task):
    taken = like_student(arguments(name, task=task))
    taken = each(taken, "student", lambda t: t.clone().requires_grad_())
    value = build(name, taken, task=task)(**taken)
    value.backward()
    assert value.abs() < 1e-12
    assert all(tensor.grad.abs().max() < 1e-6 for tensor in tensors_in(taken, "student"))


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e4])
@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_loss_and_its_gradient_are_finite_where_the_student_is_zero_tiny_or_huge(
    name, task, scale
):
    taken = each(arguments(name, task=task), "student", lambda t: (scale * t).float())
    taken = each(taken, "teacher", Tensor.float)
    taken |= {"labels": taken["labels"].float()} if "labels" in taken else {}
    taken = each(taken, "student", lambda t: t.requires_grad_())
    value = build(name, taken, task=task).float()(**taken)
    value.backward()
    assert value.isfinite()
    assert all(tensor.grad.isfinite().all() for tensor in tensors_in(taken, "student"))


@pytest.mark.parametrize(("name", "task"), OF_TEACHER)
def test_a_loss_is_finite_where_the_teacher_is_zero(name, task):
    taken = each(arguments(name, task=task), "teacher", torch.zeros_like)
    taken = each(taken, "student", lambda t: t.requires_grad_())
    value = build(name, taken, task=task)(**taken)
    value.backward()
    assert value.isfinite()
    assert all(tensor.grad.isfinite().all() for tensor in tensors_in(taken, "student"))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_loss_does_not_depend_on_the_order_of_the_clips(name, task):
    taken, order = arguments(name, task=task), torch.tensor([2, 0, 3, 1])

    def ordered(argument, one):
        if one is None:
            return None
        if argument == "teacher_map_gram":
            return one[order][:, order]
        return tuple(m[order] for m in one) if isinstance(one, tuple) else one[order]

    loss = build(name, taken, task=task)
    found = loss(**{argument: ordered(argument, one) for argument, one in taken.items()})
    torch.testing.assert_close(found, loss(**taken))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_the_gradient_is_that_of_the_value(name, task):
    taken = arguments(name, task=task)
    loss = build(name, taken, task=task)
    tensors = tensors_in(taken, "student")

    def value(*tensors):
        left = iter(tensors)
        return loss(**each(taken, "student", lambda _: next(left)))

    assert torch.autograd.gradcheck(value, [tensor.requires_grad_() for tensor in tensors])


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_parameters_and_buffers_are_those_of_the_state_dict(name):
    """A resumed training has nothing that a checkpoint lacks."""
    taken = arguments(name)
    loss, twin = build(name, taken).train(), build(name, taken).train()
    for _ in range(2):
        loss(**taken)
    twin.load_state_dict(loss.state_dict())
    for _ in range(2):
        torch.testing.assert_close(twin(**taken), loss(**taken), rtol=0, atol=0)


def test_what_a_loss_takes_is_the_signature_of_its_forward():
    class Hint(Loss):
        def forward(self, student_maps, teacher_maps, labels, clips): ...

    assert Hint.takes == ("student_maps", "teacher_maps", "labels", "clips")
    assert (Hint.of_student(), Hint.of_teacher(), Hint.takes_teacher) == (("maps",),) * 2 + (True,)


def test_an_unknown_argument_is_an_error_where_the_loss_is_written():
    with pytest.raises(TypeError, match="Wrong.forward takes 'teacher_logit', expected some of"):

        class Wrong(Loss):
            def forward(self, student_logits, teacher_logit): ...

    with pytest.raises(TypeError, match="takes labels, which excludes mix"):

        class Both(Loss):
            def forward(self, student_logits, teacher_logits, labels, mix): ...


def test_the_example_of_the_documentation_is_a_loss():
    page = (Path(__file__).parents[2] / "docs/extending.md").read_text()
    (block,) = re.findall(r"```python\n(# losses/hint.py\n.*?)```", page, re.DOTALL)
    exec(block, example := {})
    loss = example["Hint"](scale=2.0)
    loss.build({"student_embedding": (3,), "teacher_embedding": (5,), "clips": 8})
    assert loss(torch.randn(4, 3), torch.randn(4, 5)) > 0
    assert loss.of_student() == loss.of_teacher() == ("embedding",)


def test_the_pages_name_every_argument():
    page = (Path(__file__).parents[2] / "docs/extending.md").read_text()
    for argument in ARGUMENTS:
        assert f"`{argument}`" in page, argument
        assert argument.replace("teacher_", "") in inspect.getdoc(losses), argument
