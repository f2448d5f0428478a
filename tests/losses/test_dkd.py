from math import log

import pytest
import torch

from losses.dkd import DecoupledDistillation
from losses.kd import KnowledgeDistillation
from tests.losses.examples import random


def test_the_target_and_the_others_by_hand():
    """Teacher (1/2, 1/4, 1/4), student (1/2, 3/8, 1/8), of class 0: the target agrees; the others
    are (1/2, 1/2) and (3/4, 1/4).
    """
    loss = DecoupledDistillation(temperature=1, target_weight=5, others_weight=2)
    teacher, student = torch.tensor([[2.0, 1.0, 1.0]]).log(), torch.tensor([[4.0, 3.0, 1.0]]).log()
    others = 0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25)
    assert loss(student, teacher, torch.tensor([[1.0, 0, 0]])).item() == pytest.approx(2 * others)
    target = 0.25 * log(0.25 / (1 / 8)) + 0.75 * log(0.75 / (7 / 8))  # of class 2
    others = 2 / 3 * log((2 / 3) / (4 / 7)) + 1 / 3 * log((1 / 3) / (3 / 7))
    found = loss(student, teacher, torch.tensor([[0.0, 0, 1]])).item()
    assert found == pytest.approx(5 * target + 2 * others)


def test_with_the_teachers_share_of_the_others_it_is_kd():
    student, teacher, labels = random(0, 3), random(1, 3), torch.eye(3).double()[[2, 0, 1, 1]]
    kd = KnowledgeDistillation(task="single_label", temperature=3, squared_temperature=True)
    for n in range(4):
        clip = (student[[n]], teacher[[n]])
        share = 1 - (teacher[n] / 3).softmax(0)[labels[n].argmax()].item()
        loss = DecoupledDistillation(temperature=3, target_weight=1, others_weight=share)
        torch.testing.assert_close(loss(*clip, labels[[n]]), kd(*clip))


def test_a_mixed_clip_has_the_losses_of_its_labels_by_their_shares():
    loss, student, teacher = DecoupledDistillation(), random(0, 3)[:1], random(1, 3)[:1]
    mixed = loss(student, teacher, torch.tensor([[0.7, 0.0, 0.3]]).double())
    first, third = (loss(student, teacher, torch.eye(3).double()[[k]]) for k in (0, 2))
    torch.testing.assert_close(mixed, 0.7 * first + 0.3 * third)
