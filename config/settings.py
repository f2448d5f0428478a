"""A whole configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.fields import flat_items, to_text
from config.sections.augment import Augment
from config.sections.budget import Budget
from config.sections.classes import Classes
from config.sections.data import Data
from config.sections.distillation import Distillation
from config.sections.ensembles import Ensembles
from config.sections.loss import LOSS, LossSettings
from config.sections.matrix import Matrix
from config.sections.mel import Mel
from config.sections.quantisation import Quantisation
from config.sections.run import Run
from config.sections.specialists import Specialists
from config.sections.study import Study
from config.sections.training import Student, Teacher

SECTION_OF = {  # field of Config -> section; `coefficients` and `losses` are others
    "data": "data",
    "teacher_mel": "mel.teacher",
    "student_mel": "mel.student",
    "teacher": "teacher",
    "student": "student",
    "classes": "classes",
    "specialists": "specialists",
    "distillation": "distillation",
    "teacher_augment": "augment.teacher",
    "specialists_augment": "augment.specialists",
    "student_augment": "augment.student",
    "ensembles": "ensembles",
    "matrix": "matrix",
    "study": "study",
    "quantisation": "quantisation",
    "budget": "budget",
    "run": "run",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole config.ini."""

    data: Data
    teacher_mel: Mel
    student_mel: Mel
    teacher: Teacher
    student: Student
    classes: Classes
    specialists: Specialists
    distillation: Distillation
    coefficients: Mapping[str, float]
    losses: Mapping[str, LossSettings]
    teacher_augment: Augment
    specialists_augment: Augment
    student_augment: Augment
    ensembles: Ensembles
    matrix: Matrix
    study: Study
    quantisation: Quantisation
    budget: Budget
    run: Run

    def mel_of(self, role: str) -> Mel:
        return self.student_mel if role.startswith("student") else self.teacher_mel

    def augment_of(self, role: str) -> Augment:
        """[augment] of the training of a teacher, a specialist or a student."""
        own = {"teacher": self.teacher_augment, "student": self.student_augment}
        return own.get(role.partition("@")[0], self.specialists_augment)

    def models(self) -> set[str]:
        """MODEL of the roles. A file.py:function among them may be run, no other."""
        return {self.teacher.model, self.student.model}

    def teachers(self) -> tuple[str, ...]:
        """The roles that serve as teachers: teacher, specialist_1, specialist_2 and so on."""
        specialists = (f"specialist_{n + 1}" for n in range(self.specialists.pairs))
        return ("teacher", *specialists)

    def ensemble_members(self) -> dict[str, dict[str, float]]:
        """Name -> member -> weight: those of [ensembles], and `ensemble`, of the teacher and its
        specialists where there are any.
        """
        all_equal = {"ensemble": dict.fromkeys(self.teachers(), 1.0)}
        return (all_equal if self.specialists.pairs else {}) | self.ensembles.members()

    def to_ini(self) -> str:
        """The resolved settings as an INI file; reading it gives an equal configuration."""
        sections = {name: getattr(self, field) for field, name in SECTION_OF.items()}
        sections |= {f"{LOSS}{name}": settings for name, settings in self.losses.items()}
        lines = []
        for name, section in sections.items():
            lines += [f"[{name}]", *(f"{k} = {to_text(v)}" for k, v in flat_items(section)), ""]
        lines += ["[coefficients]", *(f"{k} = {v!r}" for k, v in self.coefficients.items()), ""]
        return "\n".join(lines)
