import math

import pytest
import torch

from losses.crd import ContrastiveDistillation
from tests.losses.examples import random

CLIPS = torch.tensor([5, 1, 0, 7])


def crd(**settings):
    torch.manual_seed(0)
    loss = ContrastiveDistillation(size=3, **settings)
    loss.build({"student_embedding": (5,), "teacher_embedding": (6,), "clips": 8})
    return loss.double()


def test_it_equals_loops_over_the_other_clips():
    loss, student, teacher = crd(contrast_temperature=0.5), random(0, 5), random(1, 6)
    heads = [(loss.student_head, student), (loss.teacher_head, teacher)]
    s, t = (torch.nn.functional.normalize(head(x), dim=1) for head, x in heads)
    total, share = 0.0, 7 / 8
    for n, clip in enumerate(CLIPS.tolist()):
        for anchor, near, memory in ((s, t, loss.teacher_memory), (t, s, loss.student_memory)):
            for other in range(8):
                score = anchor[n] @ (near[n] if other == clip else memory[other])
                h = (score / 0.5).exp() / ((score / 0.5).exp() + share)
                total -= (h if other == clip else 1 - h).log() / 4
    torch.testing.assert_close(loss(student, teacher, CLIPS), total)


def test_a_clip_without_others_by_hand():
    """One training clip whose projections are equal: -log h with e^(1 / tau) and N / M = 1."""
    loss = ContrastiveDistillation(size=2, contrast_temperature=1)
    loss.build({"student_embedding": (2,), "teacher_embedding": (2,), "clips": 1})
    loss.teacher_head = loss.student_head
    x = torch.randn(1, 2)
    h = math.e / (math.e + 1)
    assert loss(x, x, torch.tensor([0])).item() == pytest.approx(-2 * math.log(h), rel=1e-5)


def test_the_memory_is_a_moving_mean_of_the_clips_that_were_given():
    loss, student, teacher = crd(momentum=0.25), random(0, 5), random(1, 6)
    before = loss.student_memory
    loss.eval()(student, teacher, CLIPS)
    assert loss.student_memory is before
    loss.train()(student, teacher, CLIPS)
    projected = torch.nn.functional.normalize(loss.student_head(student), dim=1)
    mean = torch.nn.functional.normalize(0.25 * before[CLIPS] + 0.75 * projected, dim=1)
    torch.testing.assert_close(loss.student_memory[CLIPS], mean.detach())
    others = [2, 3, 4, 6]
    assert torch.equal(loss.student_memory[others], before[others])
    assert not loss.student_memory.requires_grad


def test_sampled_negatives_are_other_clips_and_depend_on_the_calls_alone():
    loss, twin = crd(negatives=5), crd(negatives=5)
    for _ in range(3):
        torch.rand(1)  # another process may have sampled dropout masks
        others = loss.other_clips(CLIPS)
        assert others.shape == (4, 5)
        assert not (others == CLIPS[:, None]).any()
        assert torch.equal(others, twin.other_clips(CLIPS))
        loss.calls, twin.calls = loss.calls + 1, twin.calls + 1
    every = crd().other_clips(CLIPS)
    for row, clip in zip(every.tolist(), CLIPS.tolist(), strict=True):
        assert sorted([*row, clip]) == list(range(8))
