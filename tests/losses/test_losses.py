"""Tests of every registered loss."""

import inspect
import re

import pytest
import torch
from torch import nn

from losses import LOSSES

POOL = {
    "task": "multi_label",
    "temperature": 2.0,
    "temperature_on": "both",
    "squared_temperature": True,
    "standardise_logits": False,
    "kd_reduction": "auto",
    "label_smoothing": 0.1,
    "pos_weight": torch.tensor([1.0, 2.0, 3.0]),
    "centre_lr": 0.5,
}
SHAPES = {"logits": (4, 3), "map": (4, 2, 5, 3), "embedding": (4, 6)}
DISTILLATION = sorted(name for name, loss in LOSSES.items() if loss.target == "teacher")


def build(name, **changes):
    """A loss in evaluation mode, where its state is constant."""
    parameters = inspect.signature(LOSSES[name]).parameters
    return LOSSES[name](
        **{key: value for key, value in (POOL | changes).items() if key in parameters}
    ).eval()


def tensors(name, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = SHAPES[LOSSES[name].student]
    student = torch.randn(shape, generator=generator)
    if LOSSES[name].target == "labels":
        return student, torch.eye(3)[torch.randint(3, (4,), generator=generator)]
    return student, torch.randn(shape, generator=generator)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_docstring_lists_every_option(name):
    text = inspect.getdoc(LOSSES[name])
    assert text.splitlines()[0].endswith(".")
    assert "\nShapes: " in text
    block = text.partition("\nOptions:\n")[2].partition("\n\n")[0]
    documented = set(re.findall(r"^    (\w+): ", block, re.MULTILINE))
    parameters = inspect.signature(LOSSES[name]).parameters.values()
    assert documented == {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_names_its_inputs(name):
    loss = LOSSES[name]
    assert issubclass(loss, nn.Module)
    assert loss.student in SHAPES
    assert loss.target in ("labels", "teacher")
    for parameter in inspect.signature(loss).parameters.values():
        if parameter.name not in ("args", "kwargs"):  # of nn.Module, where a loss takes nothing
            assert parameter.kind is parameter.KEYWORD_ONLY
            assert parameter.name in POOL


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_is_a_positive_scalar_with_gradients_for_the_student_only(name, task):
    student, other = (t.requires_grad_() for t in tensors(name))
    loss = build(name, task=task)(student, other)
    loss.backward()
    assert loss.shape == ()
    assert loss > 0
    assert student.grad.abs().sum() > 0
    if LOSSES[name].target == "teacher":
        assert other.grad is None


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
@pytest.mark.parametrize("name", DISTILLATION)
def test_a_distillation_loss_is_zero_where_student_equals_teacher(name, task):
    student = tensors(name)[0].requires_grad_()
    loss = build(name, task=task)(student, student.detach().clone())
    loss.backward()
    assert loss == 0
    assert student.grad.abs().max() < 1e-7


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e4])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_and_its_gradient_are_finite_where_the_student_is_zero_tiny_or_huge(
    name, scale, task
):
    student, other = tensors(name)
    student = (scale * student).requires_grad_()
    loss = build(name, task=task)(student, other)
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("name", DISTILLATION)
def test_a_loss_is_finite_where_the_teacher_is_zero(name):
    student, teacher = tensors(name)
    student.requires_grad_()
    loss = build(name)(student, torch.zeros_like(teacher))
    loss.backward()
    assert loss.isfinite()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_does_not_depend_on_the_order_of_the_clips(name):
    student, other = tensors(name)
    order = torch.tensor([2, 0, 3, 1])
    loss = build(name)
    torch.testing.assert_close(loss(student[order], other[order]), loss(student, other))


@pytest.mark.parametrize("name", [n for n in DISTILLATION if hasattr(LOSSES[n], "forward_gram")])
def test_forward_gram_equals_forward(name):
    student, teacher = (t.double().requires_grad_() for t in tensors(name))
    gram = teacher.flatten(1) @ teacher.flatten(1).T
    loss = build(name)
    torch.testing.assert_close(loss.forward_gram(student, gram), loss(student, teacher))
    (found,) = torch.autograd.grad(loss.forward_gram(student, gram), student)
    torch.testing.assert_close(found, torch.autograd.grad(loss(student, teacher), student)[0])
    loss.forward_gram(student, gram).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_gradient_is_that_of_the_value(name):
    student, other = (t.double() for t in tensors(name))
    assert torch.autograd.gradcheck(build(name), (student.requires_grad_(), other))
