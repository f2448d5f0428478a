from math import log

import pytest
import torch

from losses.ce import CrossEntropy

LOGITS = torch.tensor([[log(3.0), 0.0], [0.0, 0.0]])  # softmax: 3/4, 1/4 and 1/2, 1/2


def test_the_mean_over_clips_of_one_hot_labels():
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    by_hand = (-log(0.75) + log(2)) / 2
    assert CrossEntropy()(LOGITS, labels).item() == pytest.approx(by_hand)


def test_labels_can_be_soft():
    labels = torch.tensor([[0.6, 0.4], [0.5, 0.5]])
    by_hand = (-0.6 * log(0.75) - 0.4 * log(0.25) + log(2)) / 2
    assert CrossEntropy()(LOGITS, labels).item() == pytest.approx(by_hand)


def test_smoothing_spreads_its_share_over_the_classes():
    labels = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # smoothed by 0.2: 0.9 and 0.1
    by_hand = (-0.9 * log(0.75) - 0.1 * log(0.25) + log(2)) / 2
    loss = CrossEntropy(label_smoothing=0.2)(LOGITS, labels)
    assert loss.item() == pytest.approx(by_hand)
