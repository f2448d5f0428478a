"""The sections of config.ini: a frozen dataclass each, its fields the keys in lower case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from config.errors import nearest
from config.fields import key_fields
from config.sections.augment import Augment
from config.sections.budget import Budget
from config.sections.classes import Classes
from config.sections.data import Data, Task
from config.sections.distillation import Distillation
from config.sections.ensembles import Ensembles
from config.sections.loss import LOSS, LossSettings
from config.sections.matrix import Matrix, links
from config.sections.mel import Mel, StudentMel
from config.sections.quantisation import Quantisation
from config.sections.run import Run
from config.sections.specialists import Specialists
from config.sections.study import Study
from config.sections.training import BACKBONE, RoleSettings, Student, Teacher

__all__ = [
    "BACKBONE",
    "LOSS",
    "SECTIONS",
    "Augment",
    "Budget",
    "Classes",
    "Data",
    "Distillation",
    "Ensembles",
    "LossSettings",
    "Matrix",
    "Mel",
    "Quantisation",
    "RoleSettings",
    "Run",
    "Specialists",
    "Student",
    "StudentMel",
    "Study",
    "Task",
    "Teacher",
    "links",
    "no_such_key",
]

SECTIONS: Mapping[str, type] = {
    "data": Data,
    "mel": Mel,
    "mel.teacher": Mel,
    "mel.student": StudentMel,
    "teacher": Teacher,
    "student": Student,
    "classes": Classes,
    "specialists": Specialists,
    "distillation": Distillation,
    "augment": Augment,
    "augment.teacher": Augment,
    "augment.specialists": Augment,
    "augment.student": Augment,
    "ensembles": Ensembles,
    "matrix": Matrix,
    "study": Study,
    "quantisation": Quantisation,
    "budget": Budget,
    "run": Run,
}


def no_such_key(name: str, known: Iterable[str]) -> str:
    homes = [f"[{section}]" for section, kind in SECTIONS.items() if name in key_fields(kind)]
    return f"no such key{f' here, but in {homes[0]}' if homes else ''}{nearest(name, known)}"
