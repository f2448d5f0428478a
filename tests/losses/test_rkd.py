import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from losses.rkd import RelationalDistillation
from tests.losses.examples import random


def huber(a, b):
    return (a - b) ** 2 / 2 if abs(a - b) < 1 else abs(a - b) - 0.5


def reference(student, teacher, distance_weight, angle_weight):
    clips = range(len(student))
    pairs = list(itertools.permutations(clips, 2))
    distances, angles = [], []
    for x in (student, teacher):
        between = {(i, j): (x[i] - x[j]).norm().item() for i, j in pairs}
        mean = sum(between.values()) / len(pairs)
        distances.append({pair: value / mean for pair, value in between.items()})
        angles.append(
            {
                (i, j, k): torch.cosine_similarity(x[i] - x[j], x[k] - x[j], 0).item()
                for i, j, k in itertools.permutations(clips, 3)
            }
        )
    terms = ((distance_weight, distances), (angle_weight, angles))
    return sum(w * sum(huber(s[n], t[n]) for n in s) / len(s) for w, (s, t) in terms)


def test_a_triangle_by_hand():
    """Sides 3, 4, 5 with mean 4, cosines 0, 3/5, 4/5 against an equilateral triangle, 1/2."""
    student = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    teacher = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]])
    distances = (0.25**2 + 0 + 0.25**2) / 2 / 3
    angles = (0.5**2 + 0.1**2 + 0.3**2) / 2 / 3
    found = RelationalDistillation(distance_weight=10, angle_weight=7)(student, teacher)
    assert found.item() == pytest.approx(10 * distances + 7 * angles, rel=1e-5)


def test_it_equals_loops_over_pairs_and_triples():
    student, teacher = random(0, 5), 10 * random(1, 7) ** 3
    found = RelationalDistillation(distance_weight=25, angle_weight=50)(student, teacher)
    assert found.item() == pytest.approx(reference(student, teacher, 25, 50))


@settings(derandomize=True, deadline=None, max_examples=20)
@given(scale=st.floats(0.01, 100), seed=st.integers(0, 99))
def test_scale_shift_and_rotation_of_the_student_do_not_matter(scale, seed):
    loss, student, teacher = RelationalDistillation(), random(seed, 5), random(seed + 1, 7)
    rotation = torch.linalg.qr(random(seed + 2, 4)).Q
    moved = scale * torch.cat([student[:, :4] @ rotation, student[:, 4:]], 1) + 3
    torch.testing.assert_close(loss(moved, teacher), loss(student, teacher))


def test_a_single_clip_has_no_pairs():
    assert RelationalDistillation()(torch.rand(1, 4), torch.rand(1, 7)) == 0
