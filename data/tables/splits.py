"""The training, validation and test clips of each fold."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from config import ConfigError, UserError
from data.tables.clips import ClipTable
from data.tables.columns import Column

CANDIDATES = 200
HELD_OUT = "held-out training clips"
AGREEMENT = "agreement with the teacher"  # the score of test clips without labels
SHUFFLED = 10**7  # groups, by all candidates together: with very many, one shuffle is enough


@dataclass(frozen=True, slots=True)
class Split:
    """Positions in the clip table. `validation` is empty where the last epoch is kept."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    test_name: str  # "test", "validate" or "fold 3"; with AGREEMENT where it has no labels
    validation_name: str  # "validate", "held-out training clips", "the test split" or "none";
    # with AGREEMENT where only the test clips have labels


def folds_of(table: ClipTable, chosen: tuple[int, ...]) -> tuple[int, ...]:
    """The folds to run; (0,) where the data set has splits. Raises ConfigError.

    A fold without labelled clips is none, unless all are.
    """
    labelled = table.labelled
    rows = labelled if labelled.any() else ~labelled
    there = tuple(sorted(set(np.unique(table.columns["fold"][rows]).tolist()) - {0}))
    if missing := set(chosen) - set(there):
        has = f"the data set has {', '.join(map(str, there))}" if there else "the data set has none"
        raise ConfigError("[data] folds", f"found {min(missing)}; {has}")
    return tuple(chosen) or there or (0,)


def split_clips(
    table: ClipTable, fold: int, protocol: Literal["held_out", "paper"], hold_out: float
) -> Split:
    """Training, validation and test clips of one fold (0: of the data set's own splits).

    `held_out` keeps the test clips out of validation: `validate` is the validation set where there
    is a `test` split; otherwise a share `hold_out` of the training groups is held out. `paper`
    validates on the test clips. The split depends on the table alone, not on a seed: repetitions
    differ in their training, never in their data.

    Clips without labels are training clips only, but for sets in which no clip has a label. Raises
    UserError for a split without clips.
    """
    split, folds = table.columns["split"][:], table.columns["fold"][:]
    if fold:
        train, test, name = folds != fold, folds == fold, f"fold {fold}"
        validation = np.zeros(len(table), bool)
    else:
        name = "test" if (split == "test").any() else "validate"
        train, test = split == "train", split == name
        validation = (split == "validate") & (name == "test")
    if not train.any() or not test.any():
        what = "training" if not train.any() else "test"
        raise UserError(f"there are no {what} clips: {where_expected(what, fold)}")
    labelled = table.labelled
    if (train & labelled).any() or (validation & labelled).any():
        validation = validation & labelled
    if (test & labelled).any():
        test = test & labelled
    validation_name = "validate"
    if protocol == "paper":
        if (train & labelled).any() and not (test & labelled).any():
            found = f"found 'paper', but no clip of {name} has a label to choose the epoch by"
            raise ConfigError("[data] protocol", found)
        validation, validation_name = test, "the test split"
    elif not validation.any():
        candidates = train & labelled if (train & labelled).any() else train
        held = hold_out_groups(table, np.flatnonzero(candidates), hold_out)
        validation[held] = True
        train = train & ~validation
        if not labelled.all():  # the clips without labels of the held-out groups
            units = units_of(table)
            train = train & ~np.isin(units, units[held])
        validation_name = HELD_OUT if len(held) else "none"
    train, validation, test = map(np.flatnonzero, (train, validation, test))
    if protocol == "held_out":
        check_disjoint(table, train, validation, test)
    if not labelled[test].any():
        name = f"{name}, {AGREEMENT}"
    elif len(validation) and not labelled[validation].any():
        validation_name = f"{validation_name}, {AGREEMENT}"
    return Split(train, validation, test, name, validation_name)


def where_expected(what: str, fold: int) -> str:
    """Why a fold, or the data set's splits, have no "training" or "test" clips."""
    if fold:
        return f"all clips are of fold {fold}" if what == "training" else f"none is of fold {fold}"
    return f"none has the split {'train' if what == 'training' else 'test or validate'}"


def units_of(table: ClipTable, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
    """The number of each clip's group, (N,) int64: clips of one `group` or one recording are one.

    Clips without a group are grouped by their recording. Groups are numbered by their names. Of
    some `rows`, only these are compared.
    """
    groups, group = np.unique(table.columns["group"].raw(rows), return_inverse=True)
    recording = numbered(table.columns["path"].take(rows))
    named, clips = groups[group] != b"", len(group)
    nodes = clips + len(groups)
    edges = recording[named], clips + group[named]
    graph = coo_array((np.ones(len(edges[0]), bool), edges), shape=(nodes, nodes))
    joined = connected_components(graph, directed=False)[1][recording]
    first = np.full(nodes, 2 * nodes)
    np.minimum.at(first, joined, np.where(named, group, len(groups) + recording))
    return np.unique(first[joined], return_inverse=True)[1]


def numbered(column: Column) -> np.ndarray:
    """A number below that of rows for each row of a column of texts, the same for the same text."""
    if column.codes is not None and len(column.values) <= len(column):
        return column.codes.astype(int)
    return np.unique(column.raw(), return_inverse=True)[1]


def hold_out_groups(table: ClipTable, rows: np.ndarray, share: float) -> np.ndarray:
    """Rows of full groups, about `share` of `rows`, with the class frequencies of all of them.

    The best of many seeded random selections: that with the nearest size and class frequencies.
    """
    if share == 0:
        return np.array([], np.int64)
    groups, member = np.unique(units_of(table)[rows], return_inverse=True)
    if len(groups) < 2:
        raise ConfigError(
            "[data] hold_out",
            f"found {share:g}, but all training clips are of one group or recording; set it to 0 "
            "to keep the last epoch",
        )
    targets, sizes = table.targets.take(rows), np.bincount(member)

    def totals(held: np.ndarray) -> np.ndarray:
        """Of the held-out rows: the sum of each class, and the number of rows."""
        return np.append(targets.sum(held), held.sum())

    goal = share * totals(np.ones(len(rows), bool))
    scale = np.maximum(goal, 1)
    generator = np.random.default_rng(0)
    best, least = None, np.inf
    for _ in range(max(1, min(CANDIDATES, SHUFFLED // len(groups)))):
        order = generator.permutation(len(groups))
        count = np.searchsorted(np.cumsum(sizes[order]), goal[-1]) + 1
        chosen = np.zeros(len(groups), bool)
        chosen[order[: np.clip(count, 1, len(groups) - 1)]] = True
        held = chosen[member]
        error = np.square((totals(held) - goal) / scale).sum()
        if error < least:
            best, least = held, error
    return rows[best]


def check_disjoint(
    table: ClipTable, train: np.ndarray, validation: np.ndarray, test: np.ndarray
) -> None:
    """Raises UserError for a group in both training and test, and a recording in two of three."""
    for what, column in (("group", table.columns["group"]), ("recording", table.columns["path"])):
        sets = {"training": train, "validation": validation, "test": test}
        if what == "group":
            del sets["validation"]
        numbers = np.where(column.raw() == b"", -1, numbered(column))
        for (one, rows), (other, others) in combinations(sets.items(), 2):
            present = np.zeros(numbers.max() + 2, bool)
            present[numbers[rows]] = True
            present[-1] = False  # of no group
            if len(both := others[present[numbers[others]]]):
                shared = min(column[both])
                clips = [table.ids[of[column[of] == shared][0]] for of in (rows, others)]
                raise UserError(
                    f"the {what} {shared!r} is in both the {one} and the {other} set, such as "
                    f"{' and '.join(clips)}; fix the data set's splits or folds"
                )
