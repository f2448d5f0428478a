"""Training on a share of the labels, as if the other clips had none."""

import math
from fractions import Fraction

import numpy as np

from data.tables.clips import ClipTable
from data.tables.columns import Column
from data.tables.targets import Targets


def with_label_share(table: ClipTable, rows: np.ndarray, share: float, seed: int) -> ClipTable:
    """The table without the labels of a random part of `rows`; those of other clips stay.

    Of the clips of each class, by the largest target of each, `share` keep their labels, rounded
    up: every class keeps one clip.
    """
    rows = rows[table.labelled[rows]]
    if share == 1 or not len(rows):
        return table
    order = np.random.default_rng(seed).permutation(rows)
    strongest = table.targets[order].argmax(axis=1)
    kept = [
        of_class[: kept_clips(share, len(of_class))]
        for of_class in (order[strongest == one] for one in np.unique(strongest))
    ]
    hidden = np.setdiff1d(rows, np.concatenate(kept))
    labelled = table.labelled.copy()
    labelled[hidden] = False
    targets = table.targets.matrix.copy()
    targets.data[np.isin(targets.nonzero()[0], hidden)] = 0
    targets.eliminate_zeros()
    columns = {**table.columns, "labelled": Column.of(labelled)}
    return ClipTable(columns, Targets(targets), table.classes, table.task)


def kept_clips(share: float, clips: int) -> int:
    """Rounded up, of the share as it is written: in floats, 0.07 x 100 is above 7."""
    return math.ceil(Fraction(str(share)) * clips)
