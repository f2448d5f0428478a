import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from report.significance import all_in_words, holm, in_words, signed_rank


def test_by_hand():
    # Ranks 1 to 4; the one loss has rank 1. Rank sums of 0, 1, 9 and 10 are as uneven: 4 signs.
    found = signed_rank([-0.1, 0.2, 0.3, 0.4])
    assert found.p == pytest.approx(4 / 16)


def test_three_gains_cannot_be_significant():
    assert signed_rank([0.2, 0.3, 0.4]).p == 0.25
    assert in_words(signed_rank([0.2, 0.3, 0.4])) == "p = 0.25, n = 3"


def test_it_agrees_with_scipy_where_nothing_ties():
    generator = np.random.default_rng(0)
    for pairs in (5, 9, 15, 30):
        differences = generator.normal(0.3, 1, pairs)
        assert signed_rank(differences).p == pytest.approx(wilcoxon(differences).pvalue)


def test_ties_and_equal_pairs_against_every_choice_of_signs():
    differences = np.array([0.0125, 0.0125, -0.0125, 0.025, 0.0, 0.05, 0.05, -0.0375, 0.0])
    moved = differences[differences != 0]
    ranks = rankdata(np.abs(moved))
    middle = ranks.sum() / 2
    observed = abs(ranks[moved > 0].sum() - middle)
    signs = itertools.product([0, 1], repeat=len(ranks))
    uneven = [abs(np.dot(sign, ranks) - middle) >= observed - 1e-9 for sign in signs]
    found = signed_rank(differences)
    assert found.p == pytest.approx(np.mean(uneven))
    assert found.pairs == 9


def test_differences_that_are_equal_but_for_rounding_tie():
    assert signed_rank([0.1 + 0.2 - 0.3, 0.3 - 0.1, 0.2]).p == signed_rank([0, 0.2, 0.2]).p


def test_no_difference_is_no_test():
    found = signed_rank([0.0, 0.0])
    assert math.isnan(found.p)
    assert in_words(found) == "no difference, n = 2"
    assert in_words(signed_rank([0.3])) == "n = 1, not tested"


def test_missing_scores_are_no_pairs():
    assert signed_rank([0.1, math.nan, 0.2]) == signed_rank([0.1, 0.2])
    assert signed_rank([0.1, math.nan, 0.2]).pairs == 2
    assert in_words(signed_rank([math.nan])) == "n = 0, not tested"


def test_holm_by_hand():
    # 0.01 x 3, 0.02 x 2, 0.04 x 1 but no lower than the one before; NaN is no test
    assert holm([0.04, 0.01, math.nan, 0.02]) == pytest.approx(
        [0.04, 0.03, math.nan, 0.04], nan_ok=True
    )
    assert holm([0.5, 0.6]) == pytest.approx([1, 1])
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p_values):
    """A hypothesis is rejected where each set with it is, by the smallest p of the set."""
    places = range(len(p_values))
    sets = [s for size in places for s in itertools.combinations(places, size + 1)]
    bonferroni = {s: min(1, len(s) * min(p_values[i] for i in s)) for s in sets}
    expected = [max(p for s, p in bonferroni.items() if place in s) for place in places]
    assert holm(p_values) == pytest.approx(expected)


def test_several_tests_are_adjusted_and_one_is_not():
    gains = np.arange(1, 7) / 10
    first, other, equal = signed_rank(gains), signed_rank(gains * [-1, 1, 1, 1, 1, 1]), [0.0] * 6
    assert all_in_words([first]) == ["p = 0.031, n = 6"]
    assert all_in_words([first, signed_rank(equal)]) == [
        "p = 0.031, n = 6",
        "no difference, n = 6",
    ]
    assert all_in_words([other, first]) == [
        "p = 0.062 (Holm: p = 0.062), n = 6",
        "p = 0.031 (Holm: p = 0.062), n = 6",
    ]
    assert all_in_words([signed_rank([0.1])] * 2) == ["n = 1, not tested"] * 2
    assert all_in_words([]) == []
