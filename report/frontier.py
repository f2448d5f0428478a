"""The Pareto frontier of cost and score."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from report.choice import TIE


def on_frontier(costs: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """Whether no other system costs no more, scores no less and is better in one of the two.

    Scores that differ by less than TIE are equal. Shapes: costs (N,), scores (N,) -> (N,) bool.
    """
    cost, score = np.asarray(costs, np.float64), np.asarray(scores, np.float64)
    no_worse = (cost <= cost[:, None]) & (score > score[:, None] - TIE)
    better = (cost < cost[:, None]) | (score >= score[:, None] + TIE)
    return ~np.any(no_worse & better, axis=1)
