from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losses.pkt import ProbabilisticTransfer
from tests.losses.examples import random

PKT = ProbabilisticTransfer()


def test_three_clips_by_hand():
    """Cosines of the student 0, 0, 1: similarities 1/2, 1/2, 1; of the teacher all 1/2."""
    student = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 3.0]])
    second = 0.5 * log(0.5 / (1 / 3)) + 0.5 * log(0.5 / (2 / 3))
    assert PKT(student, torch.eye(3)).item() == pytest.approx(2 * second / 3)


def test_it_equals_loops_over_the_neighbours_of_each_clip():
    student, teacher, total = random(0, 5), random(1, 7), 0.0
    for i in range(4):
        others, probabilities = [j for j in range(4) if j != i], []
        for x in (teacher, student):
            near = torch.stack([torch.cosine_similarity(x[i], x[j], 0) + 1 for j in others])
            probabilities.append(near / near.sum())
        p, q = probabilities
        total += (p * (p / q).log()).sum() / 4
    torch.testing.assert_close(PKT(student, teacher), total)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(scale=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_it_is_never_negative_and_scale_does_not_matter(scale, seed):
    student, teacher = random(seed, 5), random(seed + 1, 7)
    assert PKT(student, teacher) >= 0
    torch.testing.assert_close(PKT(scale * student, teacher), PKT(student, teacher))


def test_a_single_clip_has_no_neighbours():
    assert PKT(torch.rand(1, 4), torch.rand(1, 7)) == 0
