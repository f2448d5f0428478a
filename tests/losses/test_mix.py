import pytest

from config import ConfigError
from losses.mix import names_of, teachers_of, uses_teacher


@pytest.mark.parametrize(
    ("variant", "names", "teachers", "taught"),
    [
        ("ce", ("ce",), "all", False),
        ("bce+KD + sp", ("bce", "kd", "sp"), "all", True),
        ("kd", ("kd",), "all", True),
        ("ce+kd@teacher", ("ce", "kd"), "teacher", True),
        ("kd @ Specialists", ("kd",), "specialists", True),
    ],
)
def test_a_variant_says_its_losses_and_its_teachers(variant, names, teachers, taught):
    assert names_of(variant) == names
    assert teachers_of(variant) == teachers
    assert uses_teacher(variant) == taught


def test_an_ensemble_may_teach():
    assert teachers_of("ce+kd@Fusion", ("fusion", "pair")) == "fusion"
    with pytest.raises(ConfigError, match="found 'fusoin'; nearest: fusion"):
        teachers_of("ce+kd@fusoin", ("fusion", "pair"))


@pytest.mark.parametrize(
    ("read", "variant", "said"),
    [
        (teachers_of, "kd@techer", "nearest: teacher"),
        (uses_teacher, "ce+kq", "nearest: kd"),
        (uses_teacher, "ce@teacher", "none of its losses wants a teacher"),
    ],
)
def test_what_cannot_be_meant_is_named(read, variant, said):
    with pytest.raises(ConfigError, match=said):
        read(variant)
