import pytest
import torch

from config import ConfigError, UserError
from losses.at import AttentionTransfer, energies
from tests.losses.examples import random


def transfer(student, teacher, **settings):
    loss = AttentionTransfer(**settings)
    squares = energies(teacher)
    shapes = [tuple(tuple(one.shape[1:]) for one in outputs) for outputs in (student, squares)]
    loss.build({"student_maps": shapes[0], "teacher_energies": shapes[1]})
    return loss(student, squares)


def test_one_pair_by_hand():
    """Energies of the student (9 + 9) / 2, (16 + 0) / 2 -> (9, 8) over their length; of the teacher
    (1, 0) on a grid twice as fine: (4 + 0) / 2 and 0.
    """
    student = torch.tensor([[[[3.0, 4.0]], [[3.0, 0.0]]]])
    teacher = torch.tensor([[[[2.0, 0.0, 0.0, 0.0]]]])
    length = 145**0.5
    by_hand = ((9 / length - 1) ** 2 + (8 / length) ** 2) / 2
    assert transfer((student,), (teacher,)).item() == pytest.approx(by_hand)


def test_it_equals_loops_over_the_deepest_pairs():
    student = tuple(random(n, *shape) for n, shape in enumerate([(2, 6, 4), (3, 6, 2), (4, 3, 2)]))
    teacher = tuple(random(9 + n, *shape) for n, shape in enumerate([(5, 6, 2), (6, 3, 2)]))
    total = 0.0
    for mine, others in ((student[1], teacher[0]), (student[2], teacher[1])):
        for s, t in zip(mine, others, strict=True):
            s, t = (one.pow(2).sum(0).flatten() for one in (s, t))
            total += (s / s.norm() - t / t.norm()).pow(2).sum() / 2 / 4
    torch.testing.assert_close(transfer(student, teacher), total)
    assert transfer(student, teacher, pairs=1) < transfer(student, teacher)


def test_tokens_beside_a_grid_and_too_many_pairs_are_refused():
    grid, tokens = (random(0, 2, 6, 4),), (random(1, 9, 16),)
    with pytest.raises(
        UserError, match="at: expected maps with a grid of both networks, or tokens of both"
    ):
        transfer(grid, tokens)
    with pytest.raises(ConfigError, match="pairs: found 2, expected 0 to 1"):
        transfer(grid, grid, pairs=2)
    assert transfer(tokens, (random(2, 5, 8),)) > 0
