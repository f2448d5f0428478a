"""The Pareto frontier of cost and score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def on_frontier(costs: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """Whether no other system costs no more, scores no less and is better in one of the two.

    Shapes: costs (N,), scores (N,) -> (N,) bool.
    """
    cost, score = np.asarray(costs, np.float64), np.asarray(scores, np.float64)
    no_worse = (cost <= cost[:, None]) & (score >= score[:, None])
    better = (cost < cost[:, None]) | (score > score[:, None])
    return ~np.any(no_worse & better, axis=1)
