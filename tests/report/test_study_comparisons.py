"""What is compared with what in a study, and the statistics of the differences."""

import math

import numpy as np
import pytest

from report.effect import cohens_d, seeds_missing
from report.significance import holm, signed_rank
from report.study_comparisons import Resampled, comparisons, interval, reference_pairs
from tests.report.test_study import system

GENERATOR = np.random.default_rng(0)


def noisy(mean):
    return list(mean + GENERATOR.normal(0, 0.05, 8))


def names(pairs):
    return [(reference.name, one.name) for reference, one in pairs]


def test_variants_are_compared_within_a_trial():
    systems = [
        system(n, variant, [], [0.5]) for n in (1, 2) for variant in ("ce+kd+sp", "ce+kd", "ce")
    ]
    assert names(reference_pairs(systems, "random")) == [
        ("1 ce", "1 ce+kd"),
        ("1 ce", "1 ce+kd+sp"),
        ("2 ce", "2 ce+kd"),
        ("2 ce", "2 ce+kd+sp"),
    ]


def test_trials_of_one_variant_are_compared_with_the_first_of_a_grid():
    systems = [system(n, "ce", [], [0.5]) for n in (1, 2, 3)]
    systems[1] = system(2, "ce", [], [], "failed")
    assert names(reference_pairs(systems, "grid")) == [("1 ce", "3 ce")]
    assert reference_pairs(systems, "random") == []
    assert reference_pairs([], "grid") == []


def test_comparisons_are_adjusted_for_their_number():
    first, *others = (system(n, "ce", [], noisy(0.5 + n / 20)) for n in range(3))
    found = comparisons([(first, one) for one in others])
    gains = [one.test["value"] - first.test["value"] for one in others]
    p_values = [signed_rank(gain).p for gain in gains]
    assert [one.p for one in found] == pytest.approx(p_values)
    assert [one.p_holm for one in found] == pytest.approx(holm(p_values))
    for one, gain in zip(found, gains, strict=True):
        assert one.difference == pytest.approx(gain.mean())
        assert one.cohens_d == pytest.approx(cohens_d(gain))
        assert one.seeds_missing == seeds_missing(gain, seeds=4, level=0.05 / 2)
        assert math.isnan(one.low), "there are no predictions"


def test_an_interval_requires_the_same_clips():
    one = Resampled(np.array([0.1, 0.2, 0.3]), (b"x",))
    other = Resampled(np.array([0.2, 0.2, 0.5]), (b"x",))
    assert interval(one, other) == pytest.approx((0.0, 0.2))
    assert np.isnan(interval(one, Resampled(other.scores, (b"y",)))).all()
    assert np.isnan(interval(None, other)).all()
