"""Which systems no other beats: as good and cheaper, or as cheap and better."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def on_frontier(costs: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """The Pareto frontier of low costs and high scores: (N,), (N,) -> (N,) bool.

    A system is on it unless another costs no more, scores no less and is better in one of them.
    """
    costs, scores = np.asarray(costs, np.float64), np.asarray(scores, np.float64)
    no_worse = (costs <= costs[:, None]) & (scores >= scores[:, None])
    better = (costs < costs[:, None]) | (scores > scores[:, None])
    return ~(no_worse & better).any(axis=1)
