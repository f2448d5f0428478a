import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losses.cka import CentredKernelAlignment
from tests.losses.examples import random

CKA = CentredKernelAlignment()


def test_it_equals_the_form_of_the_features():
    """|Y'X|^2 / (|X'X| |Y'Y|) of centred columns, in the place of Gram matrices."""
    x, y = (one - one.mean(0) for one in (random(0, 5), random(1, 7)))
    aligned = (y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())
    torch.testing.assert_close(CKA(random(0, 5), random(1, 7)), 1 - aligned)


def test_two_orthogonal_contrasts_have_no_alignment():
    student, teacher = (
        torch.tensor([[1.0], [1], [-1], [-1]]),
        torch.tensor([[1.0], [-1], [1], [-1]]),
    )
    assert CKA(student, teacher).item() == pytest.approx(1)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(scale=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_scale_shift_and_rotation_do_not_matter(scale, seed):
    student, teacher = random(seed, 4), random(seed + 1, 7)
    moved = scale * student @ torch.linalg.qr(random(seed + 2, 4)).Q + 3
    torch.testing.assert_close(CKA(moved, teacher), CKA(student, teacher))
