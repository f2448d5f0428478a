"""Bootstrap intervals against distributions that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from metrics.bootstrap import Evaluated, Interval, intervals, percentiles, resampled, sampled
from metrics.scenes import accuracy


def evaluated(correct, fold=0, groups=None):
    """Two classes; `correct` says of each clip whether its class has the higher probability."""
    targets = np.tile([True, False], (len(correct), 1))
    probabilities = np.where(np.array(correct)[:, None], [0.9, 0.1], [0.1, 0.9])
    return Evaluated(fold, probabilities, targets, None if groups is None else np.array(groups))


def test_two_clips_by_hand():
    # Resamples of one right and one wrong clip score 0, 1/2 or 1, with 1/4, 1/2 and 1/4.
    assert intervals([[evaluated([1, 0])]], accuracy) == [Interval(0.0, 1.0)]


def test_accuracy_follows_the_binomial_distribution():
    # P(at most 1 of 10) = 0.011 and P(at most 2) = 0.055: the 2.5 % quantile is 2 of 10.
    (found,) = intervals([[evaluated([1] * 5 + [0] * 5)]], accuracy, resamples=2000)
    assert found == pytest.approx((0.2, 0.8))
    assert found == pytest.approx(binom.ppf([0.025, 0.975], 10, 0.5) / 10)


def test_groups_of_other_sizes_by_hand():
    # A recording of three right clips and one of a wrong clip: both, twice the first or the second.
    (values,) = resampled([[evaluated([1, 1, 0, 1], groups=[7, 7, 2, 7])]], accuracy)
    assert set(values) == {0.0, 0.75, 1.0}


def test_alike_clips_of_a_recording_count_as_one():
    correct, groups = np.repeat([1] * 5 + [0] * 5, 4), np.repeat(np.arange(10), 4)
    order = np.random.default_rng(1).permutation(40)
    grouped = [[evaluated(correct[order], groups=groups[order])]]
    (found,) = intervals(grouped, accuracy, resamples=2000)
    assert found == pytest.approx(binom.ppf([0.025, 0.975], 10, 0.5) / 10)
    assert sampled(grouped) == "groups"


def test_groups_of_one_clip_are_clips():
    correct = [1, 0, 1, 1, 0, 0]
    alone, grouped = [[evaluated(correct)]], [[evaluated(correct, groups=[3, 1, 5, 0, 4, 2])]]
    assert (resampled(alone, accuracy) == resampled(grouped, accuracy)).all()
    assert sampled(grouped) == sampled(alone) == "clips"


def test_one_group_has_no_interval():
    fold = evaluated([1, 0], 1, groups=[4, 4])
    assert np.isnan(intervals([[fold, evaluated([1, 0], 2)]], accuracy)).all()
    assert np.isnan(intervals([[evaluated([1])]], accuracy)).all()


@given(st.lists(st.integers(0, 4), min_size=2, max_size=12).filter(lambda g: len(set(g)) > 1))
def test_all_clips_of_each_sampled_group_are_evaluated(groups):
    rows = np.arange(len(groups))[:, None]
    one = Evaluated(0, rows, rows, np.array(groups))
    seen = []
    resampled([[one]], lambda p, t: seen.append(p[:, 0].tolist()) or 0.0, 20)
    for found in seen:
        counts = np.bincount(found, minlength=len(groups))
        of_groups = {g: {counts[n] for n in range(len(groups)) if groups[n] == g} for g in groups}
        assert all(len(times) == 1 for times in of_groups.values())
        if len(set(groups)) < len(groups):
            assert sum(min(times) for times in of_groups.values()) == len(of_groups)


def test_clips_are_resampled_within_folds():
    # One fold is all right and one all wrong: whatever the sample, the mean is 1/2.
    folds = [evaluated([1] * 6, 1), evaluated([0] * 6, 2)]
    assert intervals([folds], accuracy) == [Interval(0.5, 0.5)]


def test_systems_and_seeds_have_the_same_samples():
    # The two seeds are wrong on opposite clips: their mean is 1/2 in each common sample.
    correct = np.array([1, 0, 1, 1, 0, 0])
    opposite = [evaluated(correct), evaluated(1 - correct)]
    one, same, both = intervals([opposite[:1], opposite[:1], opposite], accuracy)
    assert one == same
    assert both == Interval(0.5, 0.5)
    assert one.low < 0.5 < one.high


def test_undefined_and_infinite_scores():
    assert percentiles(np.array([np.nan, 1.0, np.inf])) == Interval(1.0, np.inf)
    assert np.isnan(percentiles(np.array([np.nan]))).all()


def share_correct(probabilities, targets):
    """`accuracy` without its checks, which take most of the time."""
    return np.mean(probabilities.argmax(1) == targets.argmax(1))


def test_a_difference_in_one_clip_follows_the_binomial_distribution():
    # Each of 10 draws is the one clip that the second system adds: Binomial(10, 1/10) / 10,
    # whatever the clips on which both are right or wrong.
    first = [evaluated([1] * 4 + [0] * 6)]
    second = [evaluated([1] * 5 + [0] * 5)]
    (before,), (after,) = (resampled([one], share_correct, 2000) for one in (first, second))
    found = percentiles(after - before)
    assert found == pytest.approx(binom.ppf([0.025, 0.975], 10, 0.1) / 10)
    low, high = percentiles(after)
    assert found.high - found.low < high - low


CORRECT = st.lists(st.booleans(), min_size=5, max_size=5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(CORRECT, CORRECT), min_size=1, max_size=4))
def test_a_paired_difference_is_the_mean_of_the_differences_of_the_sampled_clips(pairs):
    """Two folds; the trainings of one fold share the samples."""
    folds = [1 + n % 2 for n in range(len(pairs))]
    first = [evaluated(a, fold) for (a, _), fold in zip(pairs, folds, strict=True)]
    second = [evaluated(b, fold) for (_, b), fold in zip(pairs, folds, strict=True)]
    generator, means = np.random.default_rng(0), []
    for _ in range(50):
        drawn = {fold: generator.integers(0, 5, 5) for fold in sorted(set(folds))}
        gains = [
            np.mean([int(b[clip]) - int(a[clip]) for clip in drawn[fold]])
            for (a, b), fold in zip(pairs, folds, strict=True)
        ]
        means.append(np.mean(gains))
    before, after = resampled([first, second], share_correct, 50)
    assert after - before == pytest.approx(np.array(means))
    assert percentiles(after - before) == pytest.approx(np.sort(means)[[1, 48]])  # of 50
