"""The Pareto frontier of cost and score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def on_frontier(costs: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """Whether no other system costs no more, scores no less and is better in one of the two.

    Shapes: costs (N,), scores (N,) -> (N,) bool.
    """
    costs, scores = np.asarray(costs, np.float64), np.asarray(scores, np.float64)
    no_worse = (costs <= costs[:, None]) & (scores >= scores[:, None])
    better = (costs < costs[:, None]) | (scores > scores[:, None])
    return ~(no_worse & better).any(axis=1)
