"""A role is the name of its folder."""

import pytest

from training.role import STUDENT, TEACHER, Role


@pytest.mark.parametrize(
    ("text", "role", "features", "is_specialist"),
    [
        ("teacher", TEACHER, "teacher", False),
        ("student", STUDENT, "student", False),
        ("specialist_2", Role("specialist_2"), "teacher", True),
        ("student@float16", Role("student", "float16"), "student", False),
        ("student@int8", Role("student", "int8"), "student", False),
    ],
)
def test_a_role_is_written(text, role, features, is_specialist):
    assert str(role) == f"{role}" == text
    assert (role.features, role.is_specialist) == (features, is_specialist)
