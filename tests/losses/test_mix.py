import pytest

from config import ConfigError
from losses.mix import names_of, teachers_of, uses_teacher


@pytest.mark.parametrize(
    ("variant", "names", "teachers", "distilled"),
    [
        ("ce", ("ce",), "all", False),
        ("bce+KD + sp", ("bce", "kd", "sp"), "all", True),
        ("kd", ("kd",), "all", True),
        ("ce+kd@teacher", ("ce", "kd"), "teacher", True),
        ("kd @ Specialists", ("kd",), "specialists", True),
        ("kd@random", ("kd",), "random", True),
    ],
)
def test_the_losses_and_teachers_of_a_variant(variant, names, teachers, distilled):
    assert names_of(variant) == names
    assert teachers_of(variant) == teachers
    assert uses_teacher(variant) == distilled


def test_an_ensemble_can_be_the_teacher():
    assert teachers_of("ce+kd@Fusion", ("fusion", "pair")) == "fusion"
    with pytest.raises(ConfigError, match="found 'fusoin'; nearest: fusion"):
        teachers_of("ce+kd@fusoin", ("fusion", "pair"))


@pytest.mark.parametrize(
    ("read", "variant", "message"),
    [
        (teachers_of, "kd@techer", "nearest: teacher"),
        (teachers_of, "kd@teacher@all", "found 'teacher@all'"),
        (uses_teacher, "ce+kq", "nearest: kd"),
        (uses_teacher, "ce@teacher", "none of its losses requires a teacher"),
    ],
)
def test_an_invalid_variant_is_an_error(read, variant, message):
    with pytest.raises(ConfigError, match=rf"^\[distillation\] variants: .*{message}"):
        read(variant)
