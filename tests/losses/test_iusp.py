from math import sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losses.iusp import IntraUtteranceSimilarity
from losses.sp import SimilarityPreserving, gram
from tests.losses.examples import random

IUSP = IntraUtteranceSimilarity()


def test_two_frames_by_hand():
    """Orthogonal frames against equal ones, as of two clips in sp."""
    student = torch.eye(2).reshape(1, 1, 2, 2)
    teacher = torch.ones(1, 3, 4, 5)  # four frames, averaged to two
    by_hand = (2 * (1 - sqrt(0.5)) ** 2 + 2 * 0.5) / 4
    assert IUSP(student, teacher).item() == pytest.approx(by_hand)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**20), scale=st.floats(0.01, 100))
def test_it_is_sp_of_the_frames_of_each_clip(seed, scale):
    student, teacher = random(seed, 2, 5, 3), random(seed + 1, 4, 5, 2)
    sp = SimilarityPreserving()
    each = [
        sp(s.transpose(0, 1), gram(t.transpose(0, 1)))
        for s, t in zip(student, teacher, strict=True)
    ]
    torch.testing.assert_close(IUSP(scale * student, teacher), torch.stack(each).mean())
