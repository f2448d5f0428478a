from math import log

import pytest
import torch

from losses.nkd import NormalisedDistillation
from tests.losses.examples import random


def test_two_cross_entropies_by_hand():
    """Teacher (1/2, 1/4, 1/4), student (1/2, 3/8, 1/8), of class 0."""
    teacher, student = torch.tensor([[2.0, 1.0, 1.0]]).log(), torch.tensor([[4.0, 3.0, 1.0]]).log()
    found = NormalisedDistillation(others_weight=2)(student, teacher, torch.tensor([[1.0, 0, 0]]))
    by_hand = -0.5 * log(0.5) - 2 * (0.5 * log(0.75) + 0.5 * log(0.25))
    assert found.item() == pytest.approx(by_hand)


def test_it_equals_loops_over_clips_and_classes():
    student, teacher, temperature = random(0, 3), random(1, 3), 2.0
    labels, total = torch.tensor([2, 0, 1, 1]), 0.0
    for n, label in enumerate(labels.tolist()):
        others = [k for k in range(3) if k != label]
        total -= teacher[n].softmax(0)[label] * student[n].softmax(0)[label].log()
        p = (teacher[n, others] / temperature).softmax(0)
        q = (student[n, others] / temperature).softmax(0)
        total -= 1.5 * temperature**2 * sum(p * q.log())
    loss = NormalisedDistillation(temperature=temperature)
    found = loss(student, teacher, torch.eye(3).double()[labels])
    torch.testing.assert_close(found, total / 4)
