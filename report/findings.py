"""The findings of CMKD as statements about a matrix of teachers and students, each tested.

Source: Gong et al., CMKD, arXiv:2203.06760.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import product
from typing import NamedTuple

import pandas as pd

from report.significance import signed_rank

LEVEL = 0.05
CHAIN = " > "


class Finding(NamedTuple):
    """The statement that a difference is above zero, and its test.

    `difference` is the mean over seeds and folds of the mean over `cells`; p is of the signed-rank
    test over seeds and folds, those `pairs` that all compared cells have.
    """

    statement: str
    difference: float
    std: float
    pairs: int
    p: float
    cells: int

    @property
    def verdict(self) -> str:
        if math.isnan(self.p) or self.p >= LEVEL:
            return "undecided"
        return "confirmed" if self.difference > 0 else "contradicted"


def findings(scores: Mapping[str, pd.Series], families: Mapping[str, str]) -> list[Finding]:
    """The statements for which the matrix has cells.

    `scores`: "model", "teacher > student" or a longer chain -> its scores by seed and fold, higher
    is better; `families`: model -> convolutional or transformer.
    """
    cells = [tuple(chain.split(CHAIN)) for chain in scores if chain.count(CHAIN) == 1]
    kinds = sorted(set(families.values()))
    found = []

    def add(statement: str, differences: Iterable[pd.Series]) -> None:
        each = list(differences)
        if each and len(mean := mean_of(each)):
            p = signed_rank(mean).p
            found.append(Finding(statement, mean.mean(), mean.std(), len(mean), p, len(each)))

    for teacher_kind, student_kind in product(kinds, kinds):
        add(
            f"1. a {student_kind} student gains from a {teacher_kind} teacher",
            (
                scores[CHAIN.join(cell)] - scores[cell[1]]
                for cell in cells
                if (families[cell[0]], families[cell[1]]) == (teacher_kind, student_kind)
                and cell[0] != cell[1]
            ),
        )
    across = [cell for cell in cells if families[cell[0]] != families[cell[1]]]
    for kind in kinds:
        add(
            f"2. a {kind} student beats its teacher of the other kind",
            (
                scores[CHAIN.join(cell)] - scores[cell[0]]
                for cell in across
                if families[cell[1]] == kind
            ),
        )
    add(
        "3. the weaker teacher of a kind gives the better student",
        weaker(scores, cells, families),
    )
    add(
        "4. a teacher of the other kind gives the better student",
        other_kind(scores, cells, families),
    )
    add(
        "4. a model gains less from itself than from other teachers",
        (
            others_of(scores, cells, student) - scores[CHAIN.join((student, student))]
            for student in students_of(cells)
            if (student, student) in cells and sum(cell[1] == student for cell in cells) > 1
        ),
    )
    add(
        "5. a distilled teacher gives the better student",
        (
            scores[chain] - scores[chain.partition(CHAIN)[2]]
            for chain in scores
            if chain.count(CHAIN) > 1
        ),
    )
    return found


def students_of(cells: Iterable[tuple[str, ...]]) -> list[str]:
    return list(dict.fromkeys(student for _, student in cells))


def mean_of(each: Iterable[pd.Series]) -> pd.Series:
    """By seed and fold, those that all have."""
    return pd.concat(list(each), axis=1).dropna().mean(axis=1)


def mean_student(
    scores: Mapping[str, pd.Series], student: str, teachers: Iterable[str]
) -> pd.Series:
    """The student's mean score over these teachers."""
    return mean_of(scores[f"{teacher}{CHAIN}{student}"] for teacher in teachers)


def others_of(
    scores: Mapping[str, pd.Series], cells: list[tuple[str, ...]], student: str
) -> pd.Series:
    return mean_student(scores, student, [t for t, s in cells if s == student != t])


def other_kind(
    scores: Mapping[str, pd.Series], cells: list[tuple[str, ...]], families: Mapping[str, str]
) -> Iterable[pd.Series]:
    for student in students_of(cells):
        teachers = [t for t, s in cells if s == student]
        own = [name for name in teachers if families[name] == families[student]]
        other = [name for name in teachers if families[name] != families[student]]
        if own and other:
            yield mean_student(scores, student, other) - mean_student(scores, student, own)


def weaker(
    scores: Mapping[str, pd.Series], cells: list[tuple[str, ...]], families: Mapping[str, str]
) -> Iterable[pd.Series]:
    """By student and kind of teacher; the weaker teacher has the lower mean score alone."""
    for student, kind in product(students_of(cells), sorted(set(families.values()))):
        teachers = [t for t, s in cells if s == student and families[t] == kind]
        if len(teachers) > 1:
            alone = pd.concat([scores[name] for name in teachers], axis=1, keys=teachers).dropna()
            ordered = sorted(teachers, key=lambda name: alone[name].mean())
            yield mean_student(scores, student, ordered[:1]) - mean_student(
                scores, student, ordered[-1:]
            )
