from math import log

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from losses.kd import KnowledgeDistillation

TASKS = ("single_label", "multi_label")
DIVERGENCE = 0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5)  # of (1/2, 1/2) from (3/4, 1/4)


def logits(seed, clips=5, classes=4):
    generator = torch.Generator().manual_seed(seed)
    shape = (2, clips, classes)
    return 4 * torch.randn(shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("squared", [False, True])
def test_tags_by_hand(squared):
    kd = KnowledgeDistillation(task="multi_label", temperature=2, squared_temperature=squared)
    teacher = torch.tensor([[2 * log(3.0), 0.0]])  # sigmoid of a half of it: 3/4, 1/2
    by_hand = DIVERGENCE / 2 * (4 if squared else 1)  # the mean of two classes
    assert kd(torch.zeros(1, 2), teacher).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("squared", [False, True])
def test_one_class_a_clip_by_hand(squared):
    kd = KnowledgeDistillation(task="single_label", temperature=2, squared_temperature=squared)
    teacher = torch.tensor([[2 * log(3.0), 0.0], [1.0, 1.0]])  # at 2: (3/4, 1/4) and (1/2, 1/2)
    by_hand = DIVERGENCE / 2 * (4 if squared else 1)  # the mean of two clips
    assert kd(torch.zeros(2, 2), teacher).item() == pytest.approx(by_hand)


@pytest.mark.parametrize("task", TASKS)
def test_a_temperature_on_the_teacher_alone_wants_the_softened_logits(task):
    _, teacher = logits(0)
    kd = KnowledgeDistillation(task=task, temperature=3, temperature_on="teacher")
    assert kd(teacher / 3, teacher) == 0
    assert kd(teacher, teacher) > 0.01


@settings(derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**31), temperature=st.floats(0.5, 10))
def test_tags_have_the_gradient_of_the_published_form(seed, temperature):
    student, teacher = logits(seed)
    student.requires_grad_()
    published = F.binary_cross_entropy_with_logits(
        student / temperature, torch.sigmoid(teacher / temperature)
    )
    ours = KnowledgeDistillation(task="multi_label", temperature=temperature)(student, teacher)
    wanted, found = (torch.autograd.grad(loss, student)[0] for loss in (published, ours))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
    p = torch.sigmoid(teacher / temperature)
    entropy = F.binary_cross_entropy(p, p)
    torch.testing.assert_close(ours + entropy, published, rtol=1e-9, atol=1e-12)


@settings(derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**31), temperature=st.floats(0.5, 10), task=st.sampled_from(TASKS))
def test_it_is_never_negative(seed, temperature, task):
    student, teacher = logits(seed)
    assert KnowledgeDistillation(task=task, temperature=temperature)(student, teacher) >= 0


def test_a_high_temperature_squared_compares_the_logits_themselves():
    """At T -> infinity, KL times T^2 is half the variance of s - t over the classes."""
    student, teacher = logits(1)
    kd = KnowledgeDistillation(task="single_label", temperature=1e4, squared_temperature=True)
    limit = (student - teacher).var(dim=1, correction=0).mean() / 2
    torch.testing.assert_close(kd(student, teacher), limit, rtol=1e-3, atol=0)


def test_the_reduction_over_classes_is_a_factor_of_their_number():
    student, teacher = logits(3, classes=4)
    for task, natural in (("single_label", "sum"), ("multi_label", "mean")):
        auto, total, mean = (
            KnowledgeDistillation(task=task, over_classes=kind)(student, teacher).item()
            for kind in ("auto", "sum", "mean")
        )
        assert total == pytest.approx(4 * mean)
        assert auto == (total if natural == "sum" else mean)
