"""Label enhancement: labels that annotators left out, from the probabilities of a teacher.

Source: PSLA (Gong, Chung & Glass, IEEE/ACM TASLP 2021, arXiv:2102.01243).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from data.tables.clips import ClipTable
from data.tables.targets import Targets

LABEL = 0.5  # a target from here on is a label
THRESHOLDS: Mapping[str, Callable[[np.ndarray], float]] = {
    "mean": np.mean,
    "median": np.median,
    "p25": partial(np.percentile, q=25),
    "p10": partial(np.percentile, q=10),
    "p5": partial(np.percentile, q=5),
}


def with_enhanced_labels(
    table: ClipTable,
    rows: np.ndarray,
    probabilities: np.ndarray,
    relatives: Mapping[str, Collection[str]],
    threshold: str,
) -> ClipTable:
    """The table with more labels for those of `rows` that have some; those of other clips stay.

    A clip gets each of the `relatives` of its own labels whose probability is above the threshold
    of that class: the mean, median or percentile of the probabilities that the clips with this
    label have for it. With children (type I) and ancestors (type II) as relatives this is PSLA's
    union of both. An added target is 1.

    Shapes: rows (R,), probabilities (R, K), in the order of `table.classes`.
    """
    own = csr_array(table.targets.matrix[rows] >= LABEL, dtype=np.float32)
    place = {name: k for k, name in enumerate(table.classes)}
    related = np.zeros((len(place), len(place)), np.float32)
    for name, others in relatives.items():
        related[place[name], [place[other] for other in others]] = 1
    candidates = (own @ csr_array(related)).tocoo()
    clips, classes = candidates.row, candidates.col
    is_new = probabilities[clips, classes] > thresholds(own, probabilities, threshold)[classes]
    added = Targets.of_pairs(rows[clips[is_new]], classes[is_new], table.targets.shape).matrix
    added = added - added.multiply(table.targets.matrix >= LABEL)
    targets = Targets(csr_array(table.targets.matrix.maximum(added)))
    return ClipTable(table.columns, targets, table.classes, table.task)


def thresholds(own: csr_array, probabilities: np.ndarray, kind: str) -> np.ndarray:
    """Of each class, over the clips with its label; infinite where there are none.

    Shapes: own (R, K) of 0 and 1, probabilities (R, K) -> (K,) float64.
    """
    found = np.full(own.shape[1], np.inf)
    by_class = own.tocsc()
    for k, (start, end) in enumerate(pairwise(by_class.indptr)):
        if end > start:
            of_class = probabilities[by_class.indices[start:end], k]
            found[k] = THRESHOLDS[kind](of_class.astype(np.float64))
    return found
