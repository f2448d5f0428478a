"""Fusion of several systems: a mean of their probabilities or logits, or the most confident."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logit, logsumexp, softmax

MARGIN = 1e-12  # probabilities are clipped to this distance from 0 and 1 before the logit


def fused(
    members: Sequence[np.ndarray], weights: Sequence[float], kind: str, task: str
) -> np.ndarray:
    r"""The logits of an ensemble, from those of its members; w are the weights, with the sum 1.

    probabilities: those of :math:`\sum w_m p_m`.
    logits: :math:`\sum w_m l_m`; for single-label tasks the normalised geometric mean of the p.
    standardised: :math:`\sum w_m z_m`, with :math:`z = (l - \mu) / \sigma` over the K classes of a
    clip, so that a member with large logits counts no more than another; times :math:`\sum w_m
    \sigma_m` plus :math:`\sum w_m \mu_m`, so that the ensemble is as confident as its members.
    gated: as probabilities, with weights per clip that are proportional to :math:`w e^{-H}`,
    where H is the entropy of p in nats, for multi-label tasks the mean over the classes.
    max_vote: the logits of one member per clip, that of the largest :math:`w e^{-H}`.

    Shapes: M of (N, K), M -> (N, K); for single-label tasks up to a constant per clip.
    """
    logits, shares = np.asarray(members, np.float64), np.asarray(weights, np.float64)
    shares = (shares / shares.sum())[:, None, None]
    if kind == "logits":
        return (shares * logits).sum(axis=0)
    if kind == "standardised":
        mean, std = logits.mean(-1, keepdims=True), logits.std(-1, keepdims=True)
        scores = (logits - mean) / np.where(std > 0, std, 1)
        mean_score = (shares * scores).sum(axis=0)
        return mean_score * (shares * std).sum(axis=0) + (shares * mean).sum(axis=0)
    if kind in ("gated", "max_vote"):
        shares = shares * np.exp(-entropy(logits, task))
    if kind == "max_vote":
        return np.take_along_axis(logits, shares.argmax(axis=0)[None], axis=0)[0]
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
    clipped = np.clip(probabilities, MARGIN, 1 - MARGIN)
    return logit(clipped) if task == "multi_label" else np.log(clipped)


def probabilities_of(logits: np.ndarray, task: str) -> np.ndarray:
    return expit(logits) if task == "multi_label" else softmax(logits, axis=-1)
