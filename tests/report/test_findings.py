"""The findings of CMKD on scores whose answers are known."""

import pandas as pd
import pytest

from report.findings import findings

FAMILIES = {"b0": "convolutional", "b2": "convolutional", "ast": "transformer"}
PAIRS = [(seed, fold) for seed in range(3) for fold in (1, 2)]  # six: p can be 1 / 32


def scores(level, step=0.001):
    """A little apart by seed and fold, so that no differences tie at 0."""
    return pd.Series([level + step * n for n in range(6)], pd.MultiIndex.from_tuples(PAIRS))


MATRIX = {
    "b0": scores(0.70),
    "b2": scores(0.80),
    "ast": scores(0.60),
    "b0 > ast": scores(0.74, 0.002),
    "b2 > ast": scores(0.70, 0.002),
    "ast > ast": scores(0.60, 0.002),
    "ast > b2": scores(0.78, 0.002),
    "ast > b2 > ast": scores(0.68, 0.003),
}


@pytest.fixture
def found():
    return {finding.statement: finding for finding in findings(MATRIX, FAMILIES)}


def test_gains_by_direction(found):
    gain = found["1. a transformer student gains from a convolutional teacher"]
    assert gain.difference == pytest.approx(((0.74 - 0.60) + (0.70 - 0.60)) / 2 + 0.0025)
    assert (gain.pairs, gain.cells, gain.p, gain.verdict) == (6, 2, 1 / 32, "confirmed")
    lost = found["1. a convolutional student gains from a transformer teacher"]
    assert lost.difference == pytest.approx(-0.02 + 0.0025)
    assert lost.verdict == "contradicted"
    assert "1. a transformer student gains from a transformer teacher" not in found, "of itself"


def test_students_compared_with_their_teachers(found):
    beaten = found["2. a transformer student beats its teacher of the other kind"]
    assert beaten.difference == pytest.approx((0.04 - 0.10) / 2 + 0.0025)
    assert beaten.verdict == "contradicted"
    assert found["2. a convolutional student beats its teacher of the other kind"].difference > 0


def test_the_weaker_teacher_by_its_score_alone(found):
    (weaker,) = (f for s, f in found.items() if s.startswith("3."))
    assert weaker.difference == pytest.approx(0.74 - 0.70)
    assert weaker.verdict == "confirmed"


def test_the_other_kind_compared_with_the_own_and_with_itself(found):
    other, itself = (found[s] for s in found if s.startswith("4."))
    assert other.difference == pytest.approx((0.74 + 0.70) / 2 - 0.60)
    assert itself.difference == pytest.approx((0.74 + 0.70) / 2 - 0.60)


def test_chains_continue_from_a_distilled_teacher(found):
    (chain,) = (f for s, f in found.items() if s.startswith("5."))
    assert chain.difference == pytest.approx(0.68 - 0.70 + 0.0025)
    assert chain.verdict == "contradicted"


def test_what_chance_could_give_is_undecided():
    few = {chain: values.iloc[:5] for chain, values in MATRIX.items()}
    assert {finding.verdict for finding in findings(few, FAMILIES)} == {"undecided"}


def test_statements_without_cells_are_left_out():
    assert findings({"b0": MATRIX["b0"]}, FAMILIES) == []


def by_statement(scores, families=FAMILIES):
    return {finding.statement[0]: finding for finding in findings(scores, families)}


def test_only_seeds_and_folds_of_all_compared_cells_count():
    """b2 was added to the matrix with the first two seeds and folds alone."""
    matrix = {"ast": scores(0.6), "b0": scores(0.7), "b2": scores(0.8).iloc[:2]}
    matrix |= {"b0 > ast": scores(0.62, 0.002), "b2 > ast": scores(0.5, 0.002).iloc[:2]}
    found = by_statement(matrix)
    assert found["1"].difference == pytest.approx((0.02 - 0.10) / 2 + 0.0005)
    assert (found["1"].pairs, found["1"].cells, found["1"].p) == (2, 2, 0.5)
    assert (found["2"].pairs, found["3"].pairs) == (2, 2)
    matrix["b2 > ast"] = matrix["b2 > ast"].iloc[:0]
    assert by_statement(matrix) == {}, "no seed and fold that all cells have"


def test_teachers_are_compared_on_the_same_seeds_and_folds():
    """b2 is the better one wherever both were trained."""
    alone = scores(0.60, 0.1)  # 0.60, 0.70 ... 1.10
    matrix = {"ast": scores(0.5), "b0": alone, "b2": alone.iloc[:2] + 0.05}
    matrix |= {"b0 > ast": scores(0.62, 0.002), "b2 > ast": scores(0.5, 0.002)}
    assert by_statement(matrix)["3"].difference == pytest.approx(0.12)
