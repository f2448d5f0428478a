"""Several systems as one: the mean of their probabilities or of their logits, or a gated one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logit, logsumexp, softmax

SURE = 1e-12  # a probability is at least this far from 0 and 1 where it is turned into logits


def fused(said: Sequence[np.ndarray], weights: Sequence[float], kind: str, task: str) -> np.ndarray:
    r"""Logits of the whole, from those of its members; w are the weights, with the sum 1.

    probabilities: those of :math:`\sum w_m p_m`.
    logits: :math:`\sum w_m l_m`; for one label a clip the normalised geometric mean of the p.
    standardised: :math:`\sum w_m z_m`, with :math:`z = (l - \mu) / \sigma` over the K classes of a
    clip, so that a member with large logits counts no more than another; times :math:`\sum w_m
    \sigma_m` and plus :math:`\sum w_m \mu_m`, so that the whole is as sure as its members are.
    gated: as probabilities, with weights in each clip that are proportional to :math:`w e^{-H}`,
    where H is the entropy of p in nats, for tags the mean over the classes.

    Shapes: M of (N, K), M -> (N, K); for one label a clip a constant a clip is of no account.
    """
    logits, shares = np.asarray(said, np.float64), np.asarray(weights, np.float64)
    shares = (shares / shares.sum())[:, None, None]
    if kind == "logits":
        return (shares * logits).sum(axis=0)
    if kind == "standardised":
        mean, std = logits.mean(-1, keepdims=True), logits.std(-1, keepdims=True)
        scores = (logits - mean) / np.where(std > 0, std, 1)
        whole = (shares * scores).sum(axis=0)
        return whole * (shares * std).sum(axis=0) + (shares * mean).sum(axis=0)
    if kind == "gated":
        shares = shares * np.exp(-entropy(logits, task))
    if task == "multi_label":
        presence, absence = (logsumexp(log_expit(x), 0, shares) for x in (logits, -logits))
        return presence - absence
    return logsumexp(log_softmax(logits, axis=-1), 0, shares)


def entropy(logits: np.ndarray, task: str) -> np.ndarray:
    """In nats: (..., K) -> (..., 1)."""
    if task == "multi_label":
        of_tags = -expit(logits) * log_expit(logits) - expit(-logits) * log_expit(-logits)
        return of_tags.mean(-1, keepdims=True)
    log_p = log_softmax(logits, axis=-1)
    return -(np.exp(log_p) * log_p).sum(-1, keepdims=True)


def logits_of(probabilities: np.ndarray, task: str) -> np.ndarray:
    sure = np.clip(probabilities, SURE, 1 - SURE)
    return logit(sure) if task == "multi_label" else np.log(sure)


def probabilities_of(logits: np.ndarray, task: str) -> np.ndarray:
    return expit(logits) if task == "multi_label" else softmax(logits, axis=-1)
