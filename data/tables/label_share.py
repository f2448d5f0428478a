"""Training on a share of the labels, as if the other clips had none."""

import math
from fractions import Fraction

import numpy as np

from data.tables.clips import ClipTable
from data.tables.columns import Column
from data.tables.targets import Targets


def with_label_share(table: ClipTable, rows: np.ndarray, share: float, seed: int) -> ClipTable:
    """The table without the labels of a random part of `rows`; those of other clips stay.

    Of the clips of each class `share` or more keep their labels, rounded up, so that every class
    keeps one: rare classes choose first, since a clip can have several. Of clips without any class
    the same share is kept.
    """
    rows = rows[table.labelled[rows]]
    if share == 1 or not len(rows):
        return table
    order = np.random.default_rng(seed).permutation(rows)
    kept = np.zeros(len(order), bool)
    for members in strata(table, order):
        lacking = kept_clips(share, len(members)) - kept[members].sum()
        kept[members[~kept[members]][: max(0, lacking)]] = True
    hidden = order[~kept]
    labelled = table.labelled.copy()
    labelled[hidden] = False
    targets = table.targets.matrix.copy()
    targets.data[np.isin(targets.nonzero()[0], hidden)] = 0
    targets.eliminate_zeros()
    columns = {**table.columns, "labelled": Column.of(labelled)}
    return ClipTable(columns, Targets(targets), table.classes, table.task)


def strata(table: ClipTable, rows: np.ndarray) -> list[np.ndarray]:
    """Places in `rows` of the clips of each class, from few to many, then of those without any.

    Soft targets below 0.5 are no label of a multi-label clip; single-label clips have the class of
    the largest.
    """
    if table.task == "single_label":
        strongest = table.targets[rows].argmax(axis=1)
        return [np.flatnonzero(strongest == one) for one in np.unique(strongest)]
    present = (table.targets.matrix[rows] >= 0.5).tocsc()
    classes = [np.sort(part) for part in np.split(present.indices, present.indptr[1:-1])]
    without = np.flatnonzero(present.sum(axis=1) == 0)
    return [*sorted(classes, key=len), without]


def kept_clips(share: float, clips: int) -> int:
    """Rounded up, of the share as it is written: in floats, 0.07 x 100 is above 7."""
    return math.ceil(Fraction(str(share)) * clips)
