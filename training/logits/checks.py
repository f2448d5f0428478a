"""What the logits of other trainings are checked for: the test clips, and the order of the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from config import UserError
from data.tables.clips import ClipTable
from data.tables.splits import Split
from metrics.inputs import decisions
from training.distributed import rank
from training.logits.table import Logits


def check_test_clips_unseen(where: str, table: ClipTable, split: Split, logits: Logits) -> None:
    """No member was trained on a test clip, whatever its fold and its seed are."""
    if logits.trained is None:
        return
    test = table.ids[split.test]
    seen = np.isin(test, logits.ids[logits.trained])
    if seen.any():
        raise UserError(
            f"{where}: {logits.where} was trained on {seen.sum()} of the test clips "
            f"({split.test_name}), the first is {test[seen][0]!r}; use a training of the same "
            "fold"
        )


def check_better_than_chance(
    where: str, table: ClipTable, split: Split, file: Path, logits: np.ndarray
) -> None:
    """A published file whose rows were listed in another order is correct by chance only.

    Shapes: logits (N, K), of the training clips. Raises UserError that names the first clip.
    """
    rows, classes = split.train, table.classes
    known = table.labelled[rows]
    if not known.any():
        return
    rows, logits = rows[known], logits[known]
    labelled = decisions(table.targets[rows], table.task)
    correct = labelled[np.arange(len(rows)), logits.argmax(axis=1)]
    if correct.mean() <= labelled.mean(axis=0).max():
        first = int(correct.argmin())
        raise UserError(
            f"{where}: {file} is correct on {correct.sum()} of {len(rows)} training "
            f"clips, no more than chance: it predicts {classes[logits[first].argmax()]!r} for "
            f"{table.ids[rows[first]]!r}, its first error; are its clips and classes in the "
            "order of its lists?"
        )
    if rank() == 0:
        print(
            f"{where}: {file} is correct on {correct.mean():.1%} of the training "
            f"clips; whether it was trained on clips of {split.test_name} is not known"
        )
