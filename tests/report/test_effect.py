"""Effects and numbers of runs against values by hand, scipy's tests and the noncentral t."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nct, t, wilcoxon

from report.effect import cohens_d, rank_biserial, runs_needed, seeds_missing
from report.significance import signed_rank

DIFFERENCES = st.lists(
    st.integers(-20, 20).filter(bool), min_size=2, max_size=12, unique_by=abs
).map(lambda found: np.array(found) / 100)


def test_by_hand():
    # mean 2, standard deviation 1; ranks 1, 2, 3 of 1, 2, 3
    assert cohens_d([1, 2, 3]) == 2
    assert rank_biserial([1, 2, 3]) == 1
    # ranks 1 (lost), 2 and 3: (5 - 1) / 6
    assert rank_biserial([-0.1, 0.2, 0.3]) == pytest.approx(4 / 6)
    # the two of 0.2 share the rank 1.5: (1.5 + 3 - 1.5) / 6; 0 has no rank
    assert rank_biserial([-0.2, 0.2, 0.3, 0]) == pytest.approx(3 / 6)


def test_what_is_not_defined():
    for differences in ([], [0.1], [0.1, 0.1], [0.3 - 0.2, 0.1]):
        assert math.isnan(cohens_d(differences))
    assert math.isnan(rank_biserial([0, 0]))


@given(DIFFERENCES)
def test_the_rank_sums_are_those_of_scipy(differences):
    ranks = len(differences) * (len(differences) + 1) / 2
    gained = wilcoxon(differences, alternative="greater").statistic
    assert rank_biserial(differences) == pytest.approx((2 * gained - ranks) / ranks)


def test_runs_needed_by_hand():
    # ((1.95996 + 0.84162) / 1)^2 = 7.849; + 1.95996^2 / 2 = 9.770; times pi / 3 = 10.23
    assert runs_needed(1) == 11
    # (2.80158 / 0.5)^2 = 31.396; + 1.921 = 33.32; times pi / 3 = 34.89
    assert runs_needed(-0.5) == 35
    assert runs_needed(0) == math.inf
    assert math.isnan(runs_needed(math.nan))


@settings(max_examples=20, deadline=None)
@given(st.floats(0.2, 0.8), st.sampled_from([0.05, 0.01]), st.sampled_from([0.8, 0.9]))
def test_the_t_test_of_as_many_runs_has_the_power(effect, level, power):
    pairs = round(runs_needed(effect, level, power) * 3 / math.pi)
    limit = t.ppf(1 - level / 2, pairs - 1)
    assert nct.sf(limit, pairs - 1, effect * pairs**0.5) == pytest.approx(power, abs=0.07)


@given(st.sampled_from([0.05, 0.05 / 3, 0.01, 0.001]))
def test_as_many_runs_can_be_significant(level):
    pairs = int(runs_needed(100, level))
    assert signed_rank(np.arange(1, pairs + 1)).p <= level < signed_rank(np.arange(1, pairs)).p


def test_seeds_missing():
    differences = np.tile([1.0, 3.0], 5)  # d_z = 2 / 1.054 = 1.90: six runs for the lowest p
    assert runs_needed(cohens_d(differences)) == 6
    assert seeds_missing(differences, seeds=5) == 0  # two folds each
    assert seeds_missing(differences[:2], seeds=1) == 3  # d_z = 1.41: seven runs
    assert seeds_missing([1.0, -1.0], seeds=2) == math.inf
    assert math.isnan(seeds_missing([1.0], seeds=1))
