"""The mean of systems, against figures worked out by hand."""

import numpy as np
import pytest

from training.fusion import fused, logits_of, probabilities_of

FIRST, SECOND = np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([[0.2, 0.8], [0.9, 0.1]])
TASKS = ("single_label", "multi_label")


def mean_of(members, weights, kind, task):
    """Of probabilities."""
    return probabilities_of(fused([logits_of(p, task) for p in members], weights, kind, task), task)


@pytest.mark.parametrize("task", TASKS)
def test_probabilities_are_averaged_by_weight(task):
    found = mean_of([FIRST, SECOND], [3, 1], "probabilities", task)
    assert found == pytest.approx(np.array([[0.65, 0.35], [0.6, 0.4]]))


def test_the_mean_of_softmax_logits_is_the_normalised_geometric_mean():
    found = mean_of([FIRST, SECOND], [1, 1], "logits", "single_label")
    assert found == pytest.approx(np.array([[0.5, 0.5], [0.75, 0.25]]))  # √(.45) : √(.05) = 3 : 1


def test_the_mean_of_sigmoid_logits():
    found = mean_of([FIRST, SECOND], [1, 1], "logits", "multi_label")
    assert found == pytest.approx(np.array([[0.5, 0.5], [0.75, 0.25]]))  # odds 1 and 9: 3


def test_raw_logits_are_averaged_as_published():
    found = fused([np.array([[6.0, 2.0, 1.0]]), np.array([[0.0, 4.0, 3.0]])], [1, 1], "logits", "")
    assert found.tolist() == [[3.0, 3.0, 2.0]]


@pytest.mark.parametrize("task", TASKS)
def test_standardised_members_have_equal_weight_whatever_the_scale_of_their_logits(task):
    small, large = np.array([[2.0, -1.0, -1.0]]), np.array([[-10.0, 20.0, -10.0]])
    z = np.array([2.0, -1.0, -1.0]) / 2**0.5  # of std √2; the other has 10 √2
    wanted = 0.5 * (z + np.roll(z, 1)) * 5.5 * 2**0.5
    found = fused([small, large], [1, 1], "standardised", task)
    assert found == pytest.approx(wanted[None])
    assert found[0, 0] == pytest.approx(found[0, 1]), (
        "a plain mean would follow the member with large logits"
    )
    shifted = fused([small + 4, large], [1, 1], "standardised", task)
    assert shifted == pytest.approx(wanted[None] + 2), "the mean of the members' means"


def test_a_max_vote_takes_the_most_confident_member_of_each_clip():
    first = np.array([[0.9, 0.1], [0.5, 0.5]])  # as certain, with the larger weight; undecided
    second = np.array([[0.1, 0.9], [0.05, 0.95]])
    for task in TASKS:
        found = mean_of([first, second], [1, 0.9], "max_vote", task)
        assert found == pytest.approx(np.array([[0.9, 0.1], [0.05, 0.95]]))


def test_a_gate_weighs_the_most_confident_member_of_each_clip_highest():
    """Entropies of (1/2, 1/2) and of certainty: ln 2 and 0, so the weights are 1/3 and 2/3."""
    undecided, certain = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[1.0, 0.0], [0.5, 0.5]])
    for task in TASKS:
        found = mean_of([undecided, certain], [1, 1], "gated", task)
        assert found == pytest.approx(np.array([[5 / 6, 1 / 6]] * 2), abs=1e-9)
    twice = mean_of([undecided, certain], [2, 1], "gated", "single_label")
    assert twice[0] == pytest.approx([3 / 4, 1 / 4], abs=1e-9)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["probabilities", "logits", "standardised", "gated"])
def test_an_ensemble_of_one_member_is_that_member(kind, task):
    logits = np.array([[3.0, -1.0, 0.5], [900.0, -900.0, 0.0], [1.0, 1.0, 1.0]])
    found = fused([logits], [7], kind, task)
    assert probabilities_of(found, task) == pytest.approx(probabilities_of(logits, task))
    assert np.isfinite(fused([logits, -logits], [1, 1], kind, task)).all()


def test_probabilities_of_one_stay_finite():
    certain = np.array([[1.0, 0.0]])
    for task in TASKS:
        assert np.isfinite(mean_of([certain, certain], [1, 1], "logits", task)).all()
