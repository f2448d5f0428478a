import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losses.dist import Dist
from tests.losses.examples import random


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_it_equals_the_correlations_of_numpy(task):
    student, teacher = random(0, 3), random(1, 3)
    squash = torch.sigmoid if task == "multi_label" else lambda x: x.softmax(1)
    p, q = (squash(x / 2).numpy() for x in (teacher, student))
    clips = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)])
    classes = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, q.T, strict=True)])
    loss = Dist(task=task, temperature=2, clip_weight=3, class_weight=0.5)
    assert loss(student, teacher).item() == pytest.approx(3 * clips + 0.5 * classes)


def test_opposite_predictions_of_two_clips_have_correlations_of_minus_one():
    """By hand: two clips and classes, (a, -a) and (-a, a), against the opposite."""
    logits = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert Dist(task="single_label")(logits, -logits).item() == pytest.approx(2 + 2)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(shift=st.floats(-5, 5), seed=st.integers(0, 99))
def test_a_shift_of_the_logits_of_a_softmax_does_not_matter(shift, seed):
    loss, student, teacher = Dist(task="single_label"), random(seed, 3), random(seed + 1, 3)
    torch.testing.assert_close(loss(student + shift, teacher), loss(student, teacher))


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
@pytest.mark.parametrize("classes", [3, 10, 50, 527])
def test_equal_logits_have_no_correlation_and_gradients_of_ordinary_size(task, classes):
    """The mean of ten times 0.1 is not 0.1 in float32: such a difference has no direction."""
    student = torch.zeros(12, classes, requires_grad=True)
    teacher = torch.randn(12, classes, generator=torch.Generator().manual_seed(0))
    loss = Dist(task=task)(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(2)
    assert 0 < student.grad.abs().max() < 1
