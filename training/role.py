"""Which model of a run is meant: the teacher, a specialist or the student, in which precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Role:
    """As text it is the folder of its trainings: teacher, specialist_1, student, student@int8."""

    name: str  # teacher, specialist_1, specialist_2, ... or student
    precision: Literal["float32", "float16", "int8"] = "float32"

    @property
    def features(self) -> Literal["teacher", "student"]:
        """Whose front end and architecture it has: a specialist has the teacher's."""
        return "student" if self.name == "student" else "teacher"

    @property
    def is_specialist(self) -> bool:
        return self.name not in ("teacher", "student")

    def __str__(self) -> str:
        return self.name if self.precision == "float32" else f"{self.name}@{self.precision}"


TEACHER, STUDENT = Role("teacher"), Role("student")
