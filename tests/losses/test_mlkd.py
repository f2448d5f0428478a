from math import log

import pytest
import torch

from losses.mlkd import MultiLevelDistillation
from tests.losses.examples import random


def test_one_clip_by_hand():
    """p = (1/2, 1/2), q = (3/4, 1/4) at T = 2: the batch matrix is p p = 1/2 and q q = 10/16; the
    class matrices differ by 1/4 - 9/16, 1/4 - 3/16 twice and 1/4 - 1/16.
    """
    student, teacher = torch.tensor([[2 * log(3.0), 0.0]]), torch.zeros(1, 2)
    divergence = 0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25)
    classes = (5**2 + 2 * 1 + 3**2) / 16**2 / 2
    by_hand = 4 * divergence + (1 / 8) ** 2 + classes
    found = MultiLevelDistillation(temperatures=(2.0,))(student, teacher)
    assert found.item() == pytest.approx(by_hand)


def test_it_equals_loops_over_temperatures_clips_and_classes():
    student, teacher, total = random(0, 3), random(1, 3), 0.0
    for temperature in (2.0, 5.0):
        p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
        for i in range(4):
            total += temperature**2 * (p[i] * (p[i] / q[i]).log()).sum() / 4
            total += sum((p[i] @ p[j] - q[i] @ q[j]) ** 2 for j in range(4)) / 4
        for k in range(3):
            total += sum((p[:, k] @ p[:, m] - q[:, k] @ q[:, m]) ** 2 for m in range(3)) / 3
    found = MultiLevelDistillation(temperatures=(2.0, 5.0))(student, teacher)
    torch.testing.assert_close(found, total)
