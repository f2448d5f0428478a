"""The official metric against plain loops and against values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import UserError
from metrics.precision_recall import category_counts, curve, score
from tests.metrics import brute_force
from tests.sonyc import COARSE, FINE

# Few tags, for the loops, in all shapes of category: with and without X, of one tag and of two.
SMALL_FINE = (
    "1-1_small",
    "1-2_large",
    "1-X_uncertain",
    "2-X_other",
    "2-1_drill",
    "3-1_impact",
    "4-1_horn",
    "4-2_siren",
)
LEVELS = {
    "coarse": (("dog", "siren", "music"), brute_force.coarse),
    "fine": (SMALL_FINE, brute_force.fine),
}
FEW = (0.0, 0.005, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


def agrees(scores, targets, classes, level, tie_order):
    micro, macro, f1, classwise = brute_force.official(
        LEVELS[level][1](scores, targets, classes), tie_order
    )
    figures = score(scores, targets, classes, tie_order)
    np.testing.assert_allclose(figures.micro_auprc, micro, rtol=0, atol=1e-12)
    np.testing.assert_allclose(figures.macro_auprc, macro, rtol=0, atol=1e-12)
    np.testing.assert_allclose(figures.micro_f1, f1, rtol=0, atol=1e-12)
    assert list(figures.classwise) == list(classwise)
    np.testing.assert_allclose(
        list(figures.classwise.values()), list(classwise.values()), rtol=0, atol=1e-12
    )


def sample_scores(kind, random, shape, targets):
    """Scores of one kind: typical outputs of networks, and edge cases."""
    noise = random.random(shape)
    match kind:
        case "spread":
            return noise
        case "informed":
            return np.clip(0.3 * noise + 0.6 * targets * random.random(shape), 0, 1)
        case "quantised":
            return np.round(noise, 1)
        case "few values":
            return random.choice(FEW, shape)
        case "around the lowest threshold":
            return np.where(noise < 0.5, 0.01, np.nextafter(0.01, noise.round()))
        case "near 0 and 1":
            return np.where(noise < 0.5, noise * 1e-2, 1 - noise * 1e-9)
        case "two values":
            return np.where(targets, 0.9, 0.1)
        case "wrong":
            return np.where(targets, 0.1 * noise, 1 - 0.1 * noise)
        case "constant":
            return np.full(shape, random.choice(FEW))
        case "constant per class":
            return np.broadcast_to(random.choice(FEW, shape[1]), shape)


KINDS = (
    "spread",
    "informed",
    "quantised",
    "few values",
    "around the lowest threshold",
    "near 0 and 1",
    "two values",
    "wrong",
    "constant",
    "constant per class",
)


@pytest.mark.parametrize("tie_order", ["numpy", "stable"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_agrees_with_plain_loops(kind, level, tie_order):
    random = np.random.default_rng([KINDS.index(kind), level == "fine", tie_order == "numpy"])
    classes = LEVELS[level][0]
    for prevalence in (0.0, 0.1, 0.3, 0.6, 1.0):
        for _ in range(16):
            shape = (int(random.integers(1, 16)), len(classes))
            targets = (random.random(shape) < prevalence).astype(float)
            agrees(sample_scores(kind, random, shape, targets), targets, classes, level, tie_order)


@pytest.mark.parametrize("tie_order", ["numpy", "stable"])
@pytest.mark.parametrize("level", LEVELS)
def test_it_agrees_on_arrays_for_which_numpy_sorts_differently(level, tie_order):
    random = np.random.default_rng(7)
    classes = LEVELS[level][0]
    for clips in (60, 120):
        targets = (random.random((clips, len(classes))) < 0.15).astype(float)
        for kind in ("spread", "informed"):
            scores = sample_scores(kind, random, targets.shape, targets)
            agrees(scores, targets, classes, level, tie_order)


@st.composite
def predictions(draw, classes):
    clips = draw(st.integers(1, 6))
    cells = clips * len(classes)
    number = st.one_of(st.sampled_from(FEW), st.floats(0, 1))
    scores = draw(st.lists(number, min_size=cells, max_size=cells))
    targets = draw(st.lists(st.integers(0, 1), min_size=cells, max_size=cells))
    shape = (clips, len(classes))
    return np.reshape(scores, shape), np.reshape(targets, shape)


@pytest.mark.parametrize("level", LEVELS)
def test_it_agrees_on_examples_of_hypothesis(level):
    classes = LEVELS[level][0]

    @settings(max_examples=100, derandomize=True, deadline=None, database=None)
    @given(predictions(classes), st.sampled_from(["numpy", "stable"]))
    def run(case, tie_order):
        agrees(*case, classes, level, tie_order)

    run()


@pytest.mark.parametrize(("classes", "level"), [(COARSE, "coarse"), (FINE, "fine")])
def test_it_agrees_on_the_tags_of_sonyc_ust(classes, level):
    random = np.random.default_rng(3)
    targets = (random.random((30, len(classes))) < 0.2).astype(float)
    agrees(random.random(targets.shape), targets, classes, level, "numpy")


# By hand ----------------------------------------------------------------------


def column(*values):
    return np.array(values)[:, None]


def test_one_class_by_hand():
    # Thresholds 1, .8, .6, .4 -> (P, R): (0, 0), (1, 1/2), (1/2, 1/2), (2/3, 1). Before them
    # (1, 0), after them (0, 1). Areas: 1/2 * (0 + 1) / 2 + 1/2 * (1/2 + 2/3) / 2 = 1/4 + 7/24.
    figures = score(column(0.8, 0.6, 0.4), column(1, 0, 1), ["dog"], "stable")
    assert figures.classwise == pytest.approx({"dog": 13 / 24})
    assert figures.macro_auprc == pytest.approx(13 / 24)
    # The micro curve takes equal recalls the other way round: (1/2, 1/2) before (1, 1/2).
    # 1/2 * (0 + 1/2) / 2 + 1/2 * (1 + 2/3) / 2 = 1/8 + 5/12.
    assert figures.micro_auprc == pytest.approx(13 / 24)
    assert figures.micro_f1 == pytest.approx(0.5)  # at 0.6: TP = FP = FN = 1
    counts = category_counts(column(0.8, 0.6, 0.4), column(1, 0, 1), ["dog"])["dog"]
    recall, precision = curve(counts, "stable")
    assert recall == pytest.approx([0, 0, 1 / 2, 1 / 2, 1, 1])
    assert precision == pytest.approx([1, 0, 1, 1 / 2, 2 / 3, 0])
    assert counts.positives == 2


def test_a_score_of_one_reaches_the_highest_threshold():
    # At threshold 1 (P, R) is (1, 1/2) already: 1/2 * (1 + 1) / 2 + 1/2 * (1 + 1) / 2.
    figures = score(column(1.0, 0.5, 0.2), column(1, 1, 0), ["dog"], "stable")
    assert figures.classwise["dog"] == pytest.approx(1)


def test_a_perfect_ranking_of_two_values_scores_less_than_one():
    # Threshold 1 gives (0, 0). Macro then goes straight up to (1, 1): 1/2. Micro meets the point of
    # threshold 0.1 first, whose precision is the prevalence, 1/4: 1/8.
    targets = np.array([[1, 0], [0, 0], [0, 1], [0, 0]])
    figures = score(np.where(targets, 0.9, 0.1), targets, ["dog", "siren"], "stable")
    assert figures.macro_auprc == pytest.approx(1 / 2)
    assert figures.micro_auprc == pytest.approx(1 / 8)
    assert figures.micro_f1 == 1


@pytest.mark.parametrize("tie_order", ["numpy", "stable"])
def test_a_constant_score_gives_half_the_prevalence(tie_order):
    targets = np.array([[1, 0], [0, 0], [0, 1], [1, 0]])
    figures = score(np.full((4, 2), 0.5), targets, ["dog", "siren"], tie_order)
    assert figures.micro_auprc == pytest.approx(3 / 8 / 2)
    assert figures.classwise == pytest.approx({"dog": 1 / 4, "siren": 1 / 8})
    assert figures.micro_f1 == pytest.approx(2 * 3 / (2 * 3 + 5))


def test_scores_below_the_lowest_threshold_are_ignored():
    figures = score(np.full((3, 1), 0.0099), column(1, 0, 1), ["dog"])
    assert figures == (0, 0, 0, {"dog": 0})
    assert score(np.full((3, 1), 0.01), column(1, 0, 1), ["dog"]).micro_auprc == pytest.approx(
        1 / 3
    )


def test_a_class_without_positives_is_left_out_of_macro_and_stays_in_micro():
    targets = np.array([[1, 0], [0, 0]])
    scores = np.array([[0.9, 0.8], [0.1, 0.2]])
    figures = score(scores, targets, ["dog", "siren"], "stable")
    assert math.isnan(figures.classwise["siren"])
    assert figures.macro_auprc == figures.classwise["dog"] == pytest.approx(1 / 2)
    # Micro: from (0, 0) to the lowest threshold, where one of four predictions is right: 1/4 / 2.
    assert figures.micro_auprc == pytest.approx(1 / 8)
    assert figures.micro_f1 == pytest.approx(2 / 3)  # TP = FP = 1


def test_labels_without_positives():
    figures = score(np.full((2, 2), 0.7), np.zeros((2, 2)), ["dog", "siren"])
    assert figures.micro_auprc == figures.micro_f1 == 0
    assert math.isnan(figures.macro_auprc)


def test_a_class_without_negatives():
    # Thresholds 1, .6, .4 -> (0, 0), (1, 1/2), (1, 1): 1/4 + 1/2.
    assert score(column(0.6, 0.4), column(1, 1), ["dog"]).macro_auprc == pytest.approx(3 / 4)


ENGINES = ("1-1_small", "1-2_large", "1-X_uncertain")


def engine(scores, truth):
    """Micro F1 at 0.5 of one clip: 2 TP / (2 TP + FP + FN)."""
    return score(np.array([scores]), np.array([truth]), ENGINES).micro_f1


@pytest.mark.parametrize(
    ("scores", "truth", "tp", "fp", "fn"),
    [
        ((0.9, 0.0, 0.0), (1, 0, 0), 1, 0, 0),
        ((0.9, 0.9, 0.0), (1, 0, 0), 1, 1, 0),
        ((0.0, 0.9, 0.0), (1, 0, 0), 0, 1, 1),
        ((0.9, 0.9, 0.0), (0, 0, 1), 1, 0, 0),  # any tag is correct where the truth is X: TP = 1
        ((0.9, 0.0, 0.0), (0, 1, 1), 1, 0, 1),  # X is found, the large engine is not
        ((0.0, 0.9, 0.0), (0, 1, 1), 1, 0, 0),  # the correct tag: X adds no second TP
        ((0.9, 0.0, 0.9), (1, 0, 0), 1, 0, 0),  # a predicted X is no error where an engine is true
    ],
)
def test_the_incomplete_tag_by_hand(scores, truth, tp, fp, fn):
    assert engine(scores, truth) == pytest.approx(2 * tp / (2 * tp + fp + fn))


def two_clips(scores, truth):
    """As `engine`, with a second clip that is correct, so that false positives change F1."""
    scores, truth = np.array([scores, (0.9, 0, 0)]), np.array([truth, (1, 0, 0)])
    return score(scores, truth, ENGINES).micro_f1


def test_a_predicted_x_is_a_false_positive_where_no_engine_is():
    assert two_clips((0.0, 0.0, 0.95), (0, 0, 0)) == pytest.approx(2 / 3)  # TP = FP = 1
    assert two_clips((0.9, 0.0, 0.95), (0, 0, 0)) == pytest.approx(
        2 / 4
    )  # the small engine as well
    assert two_clips((0.9, 0.9, 0.95), (0, 0, 0)) == pytest.approx(2 / 4)  # all tags: X not counted


def test_an_undetected_x_is_one_false_negative():
    assert two_clips((0.0, 0.0, 0.0), (0, 0, 1)) == pytest.approx(2 / 3)


def test_scores_of_x_are_not_thresholds():
    # X is evaluated at the thresholds of the complete tags. The next one from 0.5 is 0.8, which
    # 0.7 does not reach.
    scores, truth = np.array([[0.8, 0, 0], [0, 0, 0.7]]), np.array([[1, 0, 0], [0, 0, 1]])
    assert score(scores, truth, ENGINES).micro_f1 == pytest.approx(2 / 3)


def test_fine_names_are_grouped_and_others_are_not():
    random = np.random.default_rng(0)
    scores, targets = random.random((9, 29)), np.ones((9, 29))
    assert list(score(scores, targets, FINE).classwise) == list("12345678")
    assert list(score(scores[:, :8], targets[:, :8], COARSE).classwise) == list(COARSE)
    mixed = ("dog", *FINE[1:])
    assert list(score(scores, targets, mixed).classwise) == list(mixed)


def test_the_order_of_clips_and_of_fine_tags_does_not_matter():
    random = np.random.default_rng(1)
    scores, targets = random.random((40, 29)), random.random((40, 29)) < 0.2
    clips, tags = random.permutation(40), random.permutation(29)
    shuffled = score(scores[clips][:, tags], targets[clips][:, tags], [FINE[k] for k in tags])
    expected = score(scores, targets, FINE)
    assert shuffled[:3] == pytest.approx(expected[:3], abs=1e-12)
    assert shuffled.classwise == expected.classwise


def test_the_stable_curve_of_a_class_is_ordered_by_threshold():
    random = np.random.default_rng(0)
    targets = random.random((200, 3)) < 0.05
    scores = random.random(targets.shape)
    stable = score(scores, targets, "abc", "stable")
    for k, name in enumerate("abc"):
        points = [(0.0, 1.0)]
        for threshold in (1.0, *np.sort(scores[:, k])[::-1]):
            if threshold >= 0.01:
                positive = scores[:, k] >= threshold
                hits = (positive & targets[:, k]).sum()
                points.append((hits / targets[:, k].sum(), hits / max(positive.sum(), 0.5)))
        recall, precision = np.array([*points, (1.0, 0.0)]).T
        area = ((precision[1:] + precision[:-1]) / 2 * np.diff(recall)).sum()
        assert stable.classwise[name] == pytest.approx(area, abs=1e-12)


def test_a_category_with_the_incomplete_tag_alone():
    scores, targets = np.array([[0.9, 0.8], [0.2, 0.1]]), np.array([[1, 1], [0, 0]])
    found = score(scores, targets, ("1-1_small", "2-X_uncertain"))
    assert found.classwise["1"] > 0
    assert found.classwise["2"] == 0, "X has no thresholds"


def test_an_error_names_the_class():
    with pytest.raises(UserError, match="clip 0, class 2_dog: .* found 2"):
        score(np.array([[0.5, 2.0]]), np.array([[0, 1]]), ("1_engine", "2_dog"))


def test_an_unknown_order_of_ties_is_an_error():
    with pytest.raises(UserError, match="numpy or stable, found 'legacy'"):
        score(np.full((1, 1), 0.5), np.ones((1, 1)), ["dog"], "legacy")
