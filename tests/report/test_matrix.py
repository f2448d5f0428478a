"""The gains of a matrix whose models do not all have the same seeds."""

import pandas as pd
import pytest

from report.matrix import matrix_results, title

SEEDS = {"a": 3, "b": 3, "a > b": 3, "b > a": 1}  # chain -> its number of seeds


@pytest.fixture
def results():
    rows = [(chain, seed) for chain, seeds in SEEDS.items() for seed in range(seeds)]
    found = pd.DataFrame(rows, columns=["chain", "seed"])
    return found.assign(fold=0, value=0.5 + 0.1 * found["seed"], metric="accuracy", model="ast")


def test_gains_are_of_seeds_that_both_have(results):
    matrix = matrix_results(results)
    assert {(one.teacher, one.student): one.pairs for one in matrix.gains} == {
        ("a", "b"): 3,
        ("b", "a"): 1,
    }
    assert "n = 1 to 3;" in title(matrix)


def test_the_number_of_pairs_where_it_is_the_same(results):
    assert "n = 3;" in title(matrix_results(results[results["chain"] != "b > a"]))


def test_a_lower_loss_is_a_gain(results):
    results["value"] += 0.1 * (results["chain"] == "b") - 0.1 * (results["chain"] == "a > b")
    matrix = matrix_results(results.assign(metric="log_loss"))
    assert matrix.gains[0].gain == pytest.approx(0.2)
    assert matrix.scores["a > b"].mean() == pytest.approx(0.5)
    (finding,) = matrix.findings
    assert finding.statement == "1. a transformer student gains from a transformer teacher"
    assert finding.difference == pytest.approx(0.1), "the mean of 0.2 and 0 of seed 0"
