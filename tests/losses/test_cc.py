from math import exp

import pytest
import torch

from losses.cc import CorrelationCongruence
from tests.losses.examples import random


def test_two_clips_by_hand():
    """Cosine 0 against 1: the kernel 1 against 1 + 2 gamma + 2 gamma^2, times e^(-2 gamma)."""
    student, teacher = torch.eye(2), torch.ones(2, 3)
    by_hand = (exp(-0.8) * (0.8 + 0.8**2 / 2)) ** 2 * 2 / 4
    assert CorrelationCongruence()(student, teacher).item() == pytest.approx(by_hand)


def test_it_is_near_the_gaussian_kernels_of_embeddings_of_length_one():
    student, teacher, gamma = random(0, 5), random(1, 7), 0.05
    kernels = [
        torch.stack([torch.exp(-gamma * (a - b).square().sum()) for a in x for b in x])
        for x in (s / s.norm(dim=1, keepdim=True) for s in (student, teacher))
    ]
    exact = (kernels[0] - kernels[1]).square().mean()
    found = CorrelationCongruence(gamma=gamma)(student, teacher)
    torch.testing.assert_close(found, exact, rtol=0.02, atol=0)
