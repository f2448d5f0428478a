from math import sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losses.sp import SimilarityPreserving, gram, row_normalised


def sp(student, teacher):
    return SimilarityPreserving()(student, gram(teacher))


def maps(seed, clips, *sizes):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(clips, *sizes, dtype=torch.float64, generator=generator)


def published(student, teacher):
    """Columns divided by the norms of the rows, as (B, B) / (B,) does."""
    grams = [f.flatten(1) @ f.flatten(1).T for f in (teacher, student)]
    teacher_gram, student_gram = (gram / gram.norm(2, dim=1) for gram in grams)
    return (teacher_gram - student_gram).square().sum() / len(student) ** 2


def test_different_clips_against_equal_ones_by_hand():
    student = torch.eye(2)  # normalised Gram matrix: the identity
    teacher = torch.ones(2, 3)  # 1 / sqrt(2) everywhere
    by_hand = (2 * (1 - sqrt(0.5)) ** 2 + 2 * 0.5) / 4
    assert sp(student, teacher).item() == pytest.approx(by_hand)


def test_a_row_of_zeros_stays_zero_and_the_gradients_are_finite():
    student = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], requires_grad=True)
    torch.testing.assert_close(
        row_normalised(gram(student)).detach(),
        torch.tensor(
            [
                [0.0, 0.0, 0.0],
                [0.0, sqrt(1 / 2), sqrt(1 / 2)],
                [0.0, sqrt(1 / 5), sqrt(4 / 5)],
            ]
        ),
    )
    sp(student, torch.eye(3)).backward()
    assert student.grad.isfinite().all()
    assert student.grad.abs().max() < 1
    assert student.grad[2].abs().sum() > 0


def test_a_single_clip_has_no_pairs():
    assert sp(torch.rand(1, 4), torch.rand(1, 7)) == 0


@settings(derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**31), clips=st.integers(2, 9))
def test_it_equals_the_published_form_and_so_do_its_gradients(seed, clips):
    student = maps(seed, clips, 3, 4, 2).requires_grad_()
    teacher = maps(seed + 1, clips, 5, 6)
    torch.testing.assert_close(sp(student, teacher), published(student, teacher))
    found, wanted = (
        torch.autograd.grad(loss(student, teacher), student)[0] for loss in (sp, published)
    )
    torch.testing.assert_close(found, wanted)


@settings(derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(1e-3, 1e3))
def test_neither_scale_nor_rotation_of_the_features_matters(seed, scale):
    student, teacher = maps(seed, 5, 8), maps(seed + 1, 5, 8)
    rotation = torch.linalg.qr(maps(seed + 2, 8, 8)).Q
    torch.testing.assert_close(sp(scale * student @ rotation, teacher), sp(student, teacher))
    torch.testing.assert_close(
        sp(student @ rotation, student), torch.tensor(0.0).double(), atol=1e-12, rtol=0
    )


@settings(derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**31), clips=st.integers(1, 9))
def test_it_lies_between_zero_and_four_over_the_clips(seed, clips):
    """Rows of length 1 differ by at most 2: the sum of B squares, over B^2, is at most 4 / B."""
    loss = sp(maps(seed, clips, 4), maps(seed + 1, clips, 6))
    assert 0 <= loss <= 4 / clips
