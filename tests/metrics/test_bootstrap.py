"""Bootstrap intervals against distributions that are known."""

import numpy as np
import pytest
from scipy.stats import binom

from metrics.bootstrap import Evaluated, Interval, intervals, percentiles
from metrics.scenes import accuracy


def evaluated(correct, fold=0):
    """Two classes; `correct` says of each clip whether its class has the higher probability."""
    targets = np.tile([True, False], (len(correct), 1))
    probabilities = np.where(np.array(correct)[:, None], [0.9, 0.1], [0.1, 0.9])
    return Evaluated(fold, probabilities, targets)


def test_two_clips_by_hand():
    # Resamples of one right and one wrong clip score 0, 1/2 or 1, with 1/4, 1/2 and 1/4.
    assert intervals([[evaluated([1, 0])]], accuracy) == [Interval(0.0, 1.0)]


def test_accuracy_follows_the_binomial_distribution():
    # P(at most 1 of 10) = 0.011 and P(at most 2) = 0.055: the 2.5 % quantile is 2 of 10.
    (found,) = intervals([[evaluated([1] * 5 + [0] * 5)]], accuracy, resamples=2000)
    assert found == pytest.approx((0.2, 0.8))
    assert found == pytest.approx(binom.ppf([0.025, 0.975], 10, 0.5) / 10)


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
