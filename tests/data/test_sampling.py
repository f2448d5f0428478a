"""Half of each batch is of the pair, against counts worked out by hand."""

import numpy as np
import pytest
import torch

from config import UserError
from data.sampling import HalfAndHalf, Shuffled


def orders(sampler, count):
    generator = torch.Generator().manual_seed(0)
    return [sampler.order(generator).tolist() for _ in range(count)]


def test_shuffled_holds_each_clip_once():
    first, second = orders(Shuffled(np.array([3, 5, 9, 11])), 2)
    assert sorted(first) == sorted(second) == [3, 5, 9, 11]


def test_every_batch_is_half_of_the_target():
    target, others = np.arange(10), np.arange(100, 140)
    sampler = HalfAndHalf(target, others, 4)
    drawn = orders(sampler, 3)
    assert len(sampler) == 20
    for epoch in drawn:
        for batch in torch.tensor(epoch).split(4):
            assert [int(row) < 100 for row in batch] == [True, True, False, False]
        assert sorted(epoch)[:10] == list(range(10)), "each clip of the target once"
        assert len(set(epoch)) == 20, "the others are drawn without repetition"
    assert len({tuple(sorted(epoch)) for epoch in drawn}) == 3, "and anew in each epoch"


def test_the_last_batch_is_halved_too_and_few_others_come_again():
    (epoch,) = orders(HalfAndHalf(np.arange(5), np.array([100, 101]), 4), 1)
    sides = [row < 100 for row in epoch]
    assert sides == [True, True, False, False] * 2 + [True, False]
    counts = [epoch.count(row) for row in (100, 101)]
    assert sorted(counts) == [2, 3]


@pytest.mark.parametrize(("target", "others"), [([], [1]), ([1], [])])
def test_nothing_to_draw_is_an_error(target, others):
    with pytest.raises(UserError, match="want clips on both sides"):
        HalfAndHalf(np.array(target), np.array(others), 4)
