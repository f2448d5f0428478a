from math import log

import pytest
import torch

from losses.bce import BinaryCrossEntropy

QUARTERS = torch.tensor([[log(3.0), -log(3.0)]])  # sigmoid: 3/4 and 1/4


def test_the_mean_over_clips_and_classes():
    logits = torch.cat((QUARTERS, torch.zeros(1, 2)))
    labels = torch.tensor([[1.0, 1.0], [0.0, 0.3]])
    by_hand = (-log(0.75) - log(0.25) + 2 * log(2)) / 4
    assert BinaryCrossEntropy()(logits, labels).item() == pytest.approx(by_hand)


def test_smoothing_moves_the_labels_towards_a_half():
    loss = BinaryCrossEntropy(label_smoothing=0.2)
    logits = QUARTERS[:, :1]
    present = -0.9 * log(0.75) - 0.1 * log(0.25)  # labels of 0.9 and 0.1
    absent = -0.1 * log(0.75) - 0.9 * log(0.25)
    assert loss(logits, torch.ones(1, 1)).item() == pytest.approx(present)
    assert loss(logits, torch.zeros(1, 1)).item() == pytest.approx(absent)


def test_present_labels_have_the_weight_of_their_class():
    labels = torch.tensor([[1.0, 1.0]])
    by_hand = (-3 * log(0.75) - 0.5 * log(0.25)) / 2
    loss = BinaryCrossEntropy(pos_weight=torch.tensor([3.0, 0.5]))
    assert loss(QUARTERS, labels).item() == pytest.approx(by_hand)
    assert loss(QUARTERS, 1 - labels).item() == BinaryCrossEntropy()(QUARTERS, 1 - labels).item()
