"""Average precision, ROC-AUC and d', by hand and against scikit-learn."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from metrics import tagging

SCORES = np.array([[0.9, 0.5], [0.8, 0.5], [0.7, 0.5], [0.1, 0.5]])
TARGETS = np.array([[1, 1], [0, 0], [1, 0], [0, 0]])


def test_average_precision_by_hand():
    # Positives at ranks 1 and 3: (1/1 + 2/3) / 2. All equal: the prevalence.
    np.testing.assert_allclose(tagging.class_average_precision(SCORES, TARGETS), [5 / 6, 1 / 4])
    assert tagging.mean_average_precision(SCORES, TARGETS) == pytest.approx(13 / 24)


def test_roc_auc_by_hand():
    # Of the 2 x 2 pairs 0.9 beats both negatives, 0.7 one of them. All equal: a half.
    np.testing.assert_allclose(tagging.class_roc_auc(SCORES, TARGETS), [3 / 4, 1 / 2])
    assert tagging.roc_auc(SCORES, TARGETS) == pytest.approx(5 / 8)


def test_d_prime_by_hand():
    # Phi(1) = 0.8413447: unit normals sqrt(2) apart have that ROC-AUC.
    assert tagging.d_prime_of_auc(0.8413447460685429) == pytest.approx(math.sqrt(2))
    assert tagging.d_prime_of_auc(0.5) == pytest.approx(0)
    assert tagging.d_prime_of_auc(1.0) == math.inf
    assert math.isnan(tagging.d_prime_of_auc(math.nan))
    expected = tagging.d_prime_of_auc(tagging.roc_auc(SCORES, TARGETS))
    assert tagging.d_prime(SCORES, TARGETS) == expected


@pytest.mark.parametrize("decimals", [16, 2, 1, 0])
def test_ranking_metrics_agree_with_scikit_learn(decimals):
    random = np.random.default_rng(decimals)
    for _ in range(50):
        targets = random.random((int(random.integers(4, 60)), 3)) < 0.4
        targets[0], targets[1] = True, False  # both kinds in every class
        scores = np.round(random.random(targets.shape), decimals)
        for k in range(3):
            precision = tagging.class_average_precision(scores, targets)[k]
            auc = tagging.class_roc_auc(scores, targets)[k]
            truth, predicted = targets[:, k], scores[:, k]
            assert precision == pytest.approx(average_precision_score(truth, predicted), abs=1e-12)
            assert auc == pytest.approx(roc_auc_score(truth, predicted), abs=1e-12)


def test_the_metrics_of_fsd50k_are_macro_averages_of_200_classes():
    random = np.random.default_rng(0)
    targets = random.random((400, 200)) < random.uniform(0.02, 0.5, 200)
    targets[0], targets[1] = True, False
    scores = np.round(random.random(targets.shape) + 0.3 * targets, 2) / 1.3
    precision = average_precision_score(targets, scores, average="macro")
    auc = roc_auc_score(targets, scores, average="macro")
    assert tagging.mean_average_precision(scores, targets) == pytest.approx(precision, abs=1e-12)
    assert tagging.roc_auc(scores, targets) == pytest.approx(auc, abs=1e-12)
    assert tagging.d_prime(scores, targets) == pytest.approx(math.sqrt(2) * norm.ppf(auc))


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("metric", ["average_precision", "roc_auc"])
def test_a_class_without_positives_or_negatives_is_left_out(metric, label):
    targets = TARGETS.copy()
    targets[:, 1] = label
    by_class = getattr(tagging, f"class_{metric}")(SCORES, targets)
    assert math.isnan(by_class[1])
    mean = {"average_precision": tagging.mean_average_precision, "roc_auc": tagging.roc_auc}[metric]
    assert mean(SCORES, targets) == by_class[0]
    assert math.isnan(mean(SCORES[:, 1:], targets[:, 1:]))
