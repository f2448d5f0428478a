"""HEAD_FIT = logistic_regression: the classifier fitted to embeddings by scikit-learn."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from config import Task, UserError
from metrics.inputs import decisions

ITERATIONS = 1000  # of L-BFGS, at most


def linear_layer(classifier: nn.Module) -> tuple[nn.Sequential, nn.Linear]:
    """What precedes the linear layer of a classifier, such as layer normalisation, and that layer.

    Raises UserError for a classifier with several such layers, or one without a bias.
    """
    layers = [classifier] if isinstance(classifier, nn.Linear) else list(classifier.children())
    *before, last = layers or [classifier]
    several = any(p.ndim > 1 for layer in before for p in layer.parameters())
    if several or not isinstance(last, nn.Linear) or last.bias is None:
        raise UserError(
            "head_fit: found 'logistic_regression', which requires a classifier of one linear "
            f"layer with a bias, found {' '.join(str(classifier).split())}; set it to gradient"
        )
    return nn.Sequential(*before).eval(), last


@torch.no_grad()
def fit_classifier(
    classifier: nn.Module, embeddings: Tensor, targets: np.ndarray, task: Task, inverse: float
) -> None:
    r"""Set weight and bias of a classifier's linear layer to those of a logistic regression on
    embeddings that are standardised by the mean and std of these clips.

    .. math:: W = V / \sigma, \quad b = a - W \mu

    for the weights V and biases a of the standardised embeddings. Of single-label clips it is
    multinomial, of multi-label ones there is one for each class; `inverse` is scikit-learn's C, the
    inverse regularisation strength. A class without clips, or with all of them, has a constant
    logit: the log odds of its count, with half a clip added to either side.
    Shapes: embeddings (N, D), targets (N, K), of soft ones the decisions.
    Raises UserError without clips.
    """
    before, linear = linear_layer(classifier)
    if not len(targets):
        raise UserError("HEAD_FIT = logistic_regression: no training clip has a label")
    inputs = before(embeddings).double().cpu().numpy()
    mean, std = inputs.mean(axis=0), inputs.std(axis=0)
    std[std == 0] = 1.0
    weight, bias = fit_standardised((inputs - mean) / std, decisions(targets, task), task, inverse)
    weight = weight / std
    linear.weight.copy_(torch.from_numpy(weight))
    linear.bias.copy_(torch.from_numpy(bias - weight @ mean))


def fit_standardised(
    inputs: np.ndarray, labels: np.ndarray, task: str, inverse: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (K, D) and biases (K,). Shapes: inputs (N, D), labels (N, K) bool."""
    from sklearn.linear_model import LogisticRegression

    clips, count = len(labels), labels.sum(axis=0)
    weight = np.zeros((labels.shape[1], inputs.shape[1]))
    bias = np.log((count + 0.5) / (clips - count + 0.5))
    varied = np.flatnonzero((count > 0) & (count < clips))
    if task == "multi_label":
        for k in varied:
            model = LogisticRegression(C=inverse, max_iter=ITERATIONS).fit(inputs, labels[:, k])
            weight[k], bias[k] = model.coef_[0], model.intercept_[0]
    elif len(varied) > 1:
        model = LogisticRegression(C=inverse, max_iter=ITERATIONS)
        model.fit(inputs, labels.argmax(axis=1))
        found, constant = model.coef_, model.intercept_
        if len(varied) == 2:  # scikit-learn has one logit of two classes, their difference
            found = np.concatenate([-found, found]) / 2
            constant = np.concatenate([-constant, constant]) / 2
        weight[varied], bias[varied] = found - found.mean(axis=0), constant - constant.mean()
    return weight, bias
