import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metrics.thresholds import class_thresholds

FLAG = st.booleans()
SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.6, 0.9, 1.0])


def f1(scores, truth, threshold):
    tags = scores >= threshold
    return 2 * (tags & truth).sum() / (tags.sum() + truth.sum())


def test_separable_scores_are_separated_half_way():
    scores = np.repeat([0.1, 0.2, 0.6], 5)
    truth = np.repeat([0, 1, 1], 5)
    np.testing.assert_allclose(class_thresholds(scores[:, None], truth[:, None]), [0.15])


def test_a_class_of_few_clips_keeps_the_default():
    scores = np.linspace(0, 0.2, 20)[:, None].repeat(2, axis=1)
    truth = np.zeros((20, 2))
    truth[-5:, 0] = truth[-4:, 1] = 1
    few = class_thresholds(scores, truth)
    assert few[0] < 0.2
    assert few[1] == 0.5


@given(st.lists(st.tuples(SCORES, FLAG), min_size=10, max_size=40))
def test_no_other_threshold_has_a_larger_f1(pairs):
    scores, truth = np.array([p for p, _ in pairs]), np.array([t for _, t in pairs])
    (found,) = class_thresholds(scores[:, None], truth[:, None].astype(float))
    if min(truth.sum(), (~truth).sum()) < 5:
        assert found == 0.5
        return
    others = [f1(scores, truth, t) for t in np.unique(scores)]
    assert f1(scores, truth, found) == max(others)
