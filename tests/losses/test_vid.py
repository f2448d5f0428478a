import math

import pytest
import torch

from losses.vid import VariationalInformation
from tests.losses.examples import random


def vid(student, teacher):
    loss = VariationalInformation()
    loss.build({"student_map": student, "teacher_map": teacher})
    return loss.double()


def test_a_new_loss_has_the_variance_five():
    loss = vid((2, 1, 1), (1, 1, 1))
    for layer in (loss.mean[0], loss.mean[2], loss.mean[4]):
        torch.nn.init.ones_(layer.weight)
    student, teacher = torch.tensor([1.0, 2.0]).double(), torch.tensor([7.0]).double()
    found = loss(student.reshape(1, 2, 1, 1), teacher.reshape(1, 1, 1, 1))
    assert found.item() == pytest.approx((16 / 5 + math.log(5)) / 2)


def test_it_is_the_likelihood_of_normal_distributions_up_to_a_constant():
    loss = vid((3, 4, 6), (5, 2, 6))
    with torch.no_grad():
        loss.raw_variance += torch.arange(5)
    student, teacher = random(0, 3, 4, 6), random(1, 5, 2, 6)
    first, second, third = (loss.mean[n].weight for n in (0, 2, 4))
    total = 0.0
    for t in range(2):
        for f in range(6):
            cells = (student[:, :, 2 * t, f] + student[:, :, 2 * t + 1, f]) / 2
            mean = ((cells @ first.T).relu() @ second.T).relu() @ third.T
            std = (torch.log1p(loss.raw_variance.exp()) + 1e-5).sqrt()
            total -= torch.distributions.Normal(mean, std).log_prob(teacher[:, :, t, f]).sum()
    constant = math.log(2 * math.pi) / 2
    torch.testing.assert_close(loss(student, teacher), total / teacher.numel() - constant)
