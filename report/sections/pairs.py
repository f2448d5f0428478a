"""The pairs of classes of the specialists, and how often each system confuses them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from report.run import Run, System
from report.section import Cell, Table
from report.sections.confusion import confusions
from report.table import place

Counts = dict[tuple[str, str], np.ndarray]  # a pair -> confusions by each system


def chosen_pairs(run: Run) -> Table | None:
    """None where no specialists were trained."""
    counts, chosen = counted(run)
    if not counts:
        return None
    order = sorted(counts, key=lambda pair: -counts[pair][0])
    rows = [[" / ".join(pair), chosen[pair], *counts[pair]] for pair in order]
    rows.append(["all", sum(chosen.values()), *np.sum(list(counts.values()), axis=0)])
    caption = (
        "The pairs that the teacher confused most on clips outside the test set, in how many "
        "trainings each was chosen, and how many test clips of one class each system predicted as "
        "the other, summed over the seeds and folds that chose the pair."
    )
    head = ["pair", "chosen", *(system.label for system in in_order(run))]
    cells = [[Cell(str(row[0])), *(Cell(str(n), float(n)) for n in row[1:])] for row in rows]
    return Table(head, cells, caption, sortable=True)


def in_order(run: Run) -> list[System]:
    """The order of the headline table."""
    return sorted(run.systems, key=lambda system: place(system.role))


def counted(run: Run) -> tuple[Counts, dict[tuple[str, str], int]]:
    """Confusions by pair and system, and the number of trainings that chose each pair."""
    counts: Counts = {}
    chosen: dict[tuple[str, str], int] = {}
    classes = list(run.table.classes)
    for (role, _, seed, fold), folder in run.folders.items():
        if role != "teacher" or not (folder / "pairs.csv").is_file():
            continue
        predictions = [run.predictions(system, seed, [fold]) for system in in_order(run)]
        matrices = [confusions(found, run.task) for found in predictions]
        pairs = pd.read_csv(folder / "pairs.csv", dtype=str, keep_default_na=False)
        for first, second in pairs[["first", "second"]].to_numpy():
            a, b = classes.index(first), classes.index(second)
            found = np.array([matrix[a, b] + matrix[b, a] for matrix in matrices])
            counts[first, second] = counts.get((first, second), 0) + found
            chosen[first, second] = chosen.get((first, second), 0) + 1
    return counts, chosen
