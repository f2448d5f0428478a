"""Tests of every registered metric."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from config import UserError
from metrics import METRICS, classwise, evaluate, name_of_classwise, precision_recall
from tests.sonyc import COARSE, FINE, ROOT

CLASSES = {"single_label": ("airport", "bus", "tram"), "multi_label": COARSE}
TASKS = tuple(CLASSES)


def labels(task, random, clips=60):
    """Labels with positive and negative clips in every class."""
    classes = len(CLASSES[task])
    if task == "single_label":
        return np.eye(classes)[np.arange(clips) % classes]
    targets = (random.random((clips, classes)) < 0.3).astype(float)
    targets[0], targets[1] = 1, 0
    return targets


def noisy_probabilities(targets, task, random, certainty):
    """Probabilities from noisy labels; the higher the certainty, the less noise."""
    logits = certainty * (2 * targets - 1) + random.normal(size=targets.shape)
    if task == "multi_label":
        return 1 / (1 + np.exp(-logits))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def case(task, certainty=1.0, seed=0):
    random = np.random.default_rng(seed)
    targets = labels(task, random)
    return noisy_probabilities(targets, task, random, certainty), targets, CLASSES[task]


def test_the_registered_names():
    expected = {
        "multi_label": "micro_auprc macro_auprc micro_f1 mean_average_precision roc_auc d_prime "
        "tag_calibration_error",
        "single_label": "accuracy macro_accuracy log_loss expected_calibration_error",
    }
    for task, names in expected.items():
        assert [name for name, metric in METRICS.items() if metric.task == task] == names.split()


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_better_model_has_a_better_value(name):
    metric = METRICS[name]
    figures = [metric.function(*case(metric.task, certainty)) for certainty in (0.0, 3.0)]
    assert [type(figure) for figure in figures] == [float, float]
    assert (figures[1] > figures[0]) == metric.higher_is_better
    assert figures[0] != figures[1]


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_metric_ignores_the_order_of_clips_and_keeps_its_input(name):
    metric = METRICS[name]
    scores, targets, classes = case(metric.task)
    before = scores.copy(), targets.copy()
    shuffle = np.random.default_rng(1).permutation(len(scores))
    figure = metric.function(scores, targets, classes)
    shuffled = metric.function(scores[shuffle], targets[shuffle], classes)
    assert figure == pytest.approx(shuffled, abs=1e-12)
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(targets, before[1])


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize("dtype", [np.float16, np.float32, bool, np.int64])
def test_a_metric_accepts_other_dtypes(name, dtype):
    metric = METRICS[name]
    scores, targets, classes = case(metric.task)
    narrow = scores.astype(np.float32)
    figure = metric.function(narrow.astype(np.float64), targets, classes)
    assert metric.function(narrow, targets.astype(dtype), classes) == figure


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize(("which", "value"), [(0, float("nan")), (0, 1.5), (0, -0.5), (1, 1 / 3)])
def test_invalid_probabilities_and_soft_labels_are_errors(name, which, value):
    metric = METRICS[name]
    arguments = case(metric.task)
    arguments[which][3, 1] = value
    with pytest.raises(UserError, match=r"clip 3, class (1|bus|2_machinery-impact): expected"):
        metric.function(*arguments)


@pytest.mark.parametrize("task", TASKS)
def test_evaluate_returns_every_metric_of_the_task(task):
    arguments = case(task)
    expected = {
        name: metric.function(*arguments) for name, metric in METRICS.items() if metric.task == task
    }
    assert evaluate(*arguments, task) == expected


def test_evaluate_runs_the_official_metric_once(monkeypatch):
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return official(*arguments)

    official = precision_recall.score
    monkeypatch.setattr(precision_recall, "score", counted)
    evaluate(*case("multi_label"), "multi_label", "stable")
    assert [call[3] for call in calls] == ["stable"]


def test_classwise_of_scenes_averages_to_macro_accuracy():
    scores, targets, classes = case("single_label")
    by_class = classwise(scores, targets, classes, "single_label")
    assert tuple(by_class) == classes
    macro = METRICS["macro_accuracy"].function(scores, targets, classes)
    assert np.mean(list(by_class.values())) == pytest.approx(macro)


@pytest.mark.parametrize(("classes", "names"), [(COARSE, COARSE), (FINE, tuple("12345678"))])
def test_classwise_of_tags_averages_to_macro_auprc(classes, names):
    random = np.random.default_rng(0)
    targets = random.random((50, len(classes))) < 0.4
    scores = random.random(targets.shape)
    by_class = classwise(scores, targets, classes, "multi_label")
    assert tuple(by_class) == names
    macro = METRICS["macro_auprc"].function(scores, targets, classes)
    assert np.mean(list(by_class.values())) == pytest.approx(macro)


@pytest.mark.parametrize(
    ("metric", "name", "by_scikit_learn"),
    [
        ("mean_average_precision", "average precision", average_precision_score),
        ("roc_auc", "ROC-AUC", roc_auc_score),
    ],
)
def test_classwise_of_tags_averages_to_the_ranking_metric(metric, name, by_scikit_learn):
    scores, targets, classes = case("multi_label")
    by_class = classwise(scores, targets, classes, "multi_label", metric)
    assert by_class == {
        tag: pytest.approx(by_scikit_learn(targets[:, k], scores[:, k]))
        for k, tag in enumerate(classes)
    }
    assert np.mean(list(by_class.values())) == pytest.approx(
        METRICS[metric].function(scores, targets, classes)
    )
    assert name_of_classwise(metric) == name


def test_the_values_of_a_class_have_a_name():
    assert [name_of_classwise(metric) for metric in ("micro_f1", "log_loss")] == [
        "AUPRC",
        "accuracy",
    ]


@pytest.mark.parametrize("function", [evaluate, classwise])
def test_class_names_and_task_are_checked(function):
    scores, targets, classes = case("single_label")
    with pytest.raises(UserError, match="3 different class names"):
        function(scores, targets, classes[:2], "single_label")
    with pytest.raises(UserError, match="single_label or multi_label"):
        function(scores, targets, classes, "scenes")


def test_the_import_loads_no_heavy_package():
    code = "import sys, metrics; print(*{'torch', 'sklearn', 'pandas', 'scipy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
