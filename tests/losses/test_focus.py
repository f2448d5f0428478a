from math import log

import pytest
import torch

from losses.focus import FocusPicking
from tests.losses.examples import random


def test_equal_networks_by_hand():
    """Student and teacher (1/2, 1/4, 1/4) of class 1: the softmax at 2 gives class 0 more than a
    third, so classes 0 and 1 share m.
    """
    logits = torch.tensor([[2.0, 1.0, 1.0]]).log()
    loss = FocusPicking(focus_smoothing=0.0)(logits, logits, torch.tensor([[0.0, 1.0, 0.0]]))
    label, focus = -log(0.25), -(log(0.5) + log(0.25)) / 2
    negative_entropy = 0.5 * log(0.5) + 0.5 * log(0.25)
    assert loss.item() == pytest.approx(label + focus + negative_entropy)


def test_it_equals_a_loop_over_the_clips():
    student, teacher, total = random(0, 3), random(1, 3), 0.0
    labels = torch.eye(3).double()[[2, 0, 1, 1]]
    for s, t, y in zip(student, teacher, labels, strict=True):
        p, q = t.softmax(0), s.softmax(0)
        smoothed = 0.9 * y + 0.1 / 3
        total -= (smoothed * (s + q - p).log_softmax(0)).sum()
        chosen = {k for k in range(3) if (t / 2).softmax(0)[k] > 1 / 3} | {int(y.argmax())}
        total -= sum(q[k].log() for k in chosen) / len(chosen)
        total += (q * q.log()).sum()
    torch.testing.assert_close(FocusPicking()(student, teacher, labels), total / 4)
