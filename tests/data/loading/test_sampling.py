"""Half of each batch is of the pair, against counts worked out by hand."""

import numpy as np
import pytest
import torch

from config import UserError
from data.loading.sampling import Balanced, HalfAndHalf, Shuffled
from data.tables.targets import Targets


def orders(sampler, count):
    generator = torch.Generator().manual_seed(0)
    return [sampler.order(generator).tolist() for _ in range(count)]


def test_shuffled_holds_each_clip_once():
    first, second = orders(Shuffled(np.array([3, 5, 9, 11])), 2)
    assert sorted(first) == sorted(second) == [3, 5, 9, 11]


def test_every_batch_is_half_of_the_target():
    target, others = np.arange(10), np.arange(100, 140)
    sampler = HalfAndHalf(target, others, 4)
    epochs = orders(sampler, 3)
    assert len(sampler) == 20
    for epoch in epochs:
        for batch in torch.tensor(epoch).split(4):
            assert [int(row) < 100 for row in batch] == [True, True, False, False]
        assert sorted(epoch)[:10] == list(range(10)), "each clip of the target once"
        assert len(set(epoch)) == 20, "the others are sampled without repetition"
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 3, "and differently in each epoch"


def test_the_last_batch_is_halved_too_and_few_others_come_again():
    (epoch,) = orders(HalfAndHalf(np.arange(5), np.array([100, 101]), 4), 1)
    sides = [row < 100 for row in epoch]
    assert sides == [True, True, False, False] * 2 + [True, False]
    counts = [epoch.count(row) for row in (100, 101)]
    assert sorted(counts) == [2, 3]


@pytest.mark.parametrize(("target", "others"), [([], [1]), ([1], [])])
def test_an_empty_side_is_an_error(target, others):
    with pytest.raises(UserError, match="expected clips of the pair and of other classes"):
        HalfAndHalf(np.array(target), np.array(others), 4)


def test_rare_classes_are_sampled_as_often_as_common_ones():
    """Nine clips of a, one of b, one of both, one of none: by the weights of PSLA."""
    labels = [{"a": 1.0}] * 9 + [{"b": 1.0}, {"a": 1.0, "b": 0.5}, {"a": 0.4}]
    sampler = Balanced(np.arange(100, 112), Targets.of(labels, ("a", "b")))
    assert len(sampler) == 12
    epochs = np.concatenate(orders(sampler, 2000)) - 100
    of_a, of_b = 1000 / 10.01, 1000 / 2.01
    weights = np.array([of_a] * 9 + [of_b, of_a + of_b, 0.0])
    found = np.bincount(epochs, minlength=12) / len(epochs)
    assert found == pytest.approx(weights / weights.sum(), abs=0.01)
    assert found[11] == 0


def test_an_epoch_may_be_shorter_or_longer_than_the_clips():
    targets = Targets.of([{"a": 1.0}, {"b": 1.0}], ("a", "b"))
    for num_samples in (1, 5):
        sampler = Balanced(np.arange(7, 9), targets, num_samples)
        assert len(sampler) == num_samples
        (epochs,) = orders(sampler, 1)
        assert len(epochs) == num_samples
        assert set(epochs) <= {7, 8}


def test_nothing_can_be_balanced_without_labels():
    with pytest.raises(UserError, match="requires labels; no training clip"):
        Balanced(np.arange(2), Targets.of([{}, {"a": 0.2}], ("a",)))
