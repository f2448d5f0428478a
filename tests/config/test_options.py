"""The options of a model or data set, checked against its constructor."""

from typing import Literal

import pytest

import config
from config import ConfigError


class Sample:
    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        width_mult: float = 1.0,
        stages: tuple[int, ...] = (1, 1),
        reading: Literal["time", "reshaped"] = "time",
        head: int | None = None,
        bias: bool = True,
    ) -> None:
        pass


def build(width_mult: float, *, bias: bool = True, **others: int) -> None:
    """A function serves as well as a class; its positional parameters are not options."""


def test_constructor_options_have_the_constructors_types():
    texts = {"width_mult": "2", "stages": "8, 8", "reading": "Reshaped", "head": "", "bias": "no"}
    options = config.constructor_options("[student]", config.Student(options=texts), Sample)
    wanted = {"width_mult": 2.0, "stages": (8, 8), "reading": "reshaped", "head": None}
    assert options == {**wanted, "bias": False}
    assert type(options["width_mult"]) is float
    one = config.Student(options={"bias": "yes"})
    assert config.constructor_options("[student]", one, build) == {"bias": True}
    assert config.constructor_options("[data]", config.Data(), object) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"width_mlt": "2"},
            "[student] width_mlt: dcase_small has no such key; nearest: width_mult",
        ),
        (
            {"lerning_rate": "2"},
            "[student] lerning_rate: dcase_small has no such key; nearest: learning",
        ),
        ({"lr": "2"}, "[student] lr: is called LEARNING_RATE here"),
        ({"seeds": "2"}, "[student] seeds: dcase_small has no such key here, but in [run]"),
        ({"num_classes": "2"}, "[student] num_classes: dcase_small has no such key"),
        ({"input_shape": "1,2,3"}, "[student] input_shape: dcase_small has no such key"),
        ({"width_mult": "wide"}, "[student] width_mult: found 'wide', expected a number"),
        ({"width_mult": "1e38"}, "[student] width_mult: found 1e+38, expected at most 1e+09"),
        ({"stages": "1, 10000000000"}, "[student] stages: found 10000000000, expected at most"),
        ({"reading": "tme"}, "[student] reading: found 'tme'; nearest: time (allowed: reshaped, t"),
    ],
)
def test_constructor_options_refuse(options, message):
    with pytest.raises(ConfigError) as caught:
        config.constructor_options("[student]", config.Student(options=options), Sample)
    assert str(caught.value).startswith(message)


def test_constructor_options_name_all_problems():
    section = config.Student(options={"a": "1", "bias": "2", "head": "3"})
    with pytest.raises(ConfigError) as caught:
        config.constructor_options("[student]", section, Sample)
    first, *lines = str(caught.value).splitlines()
    assert first == "[student]: 2 problems"
    assert [line.split(":")[0] for line in lines] == ["  [student] a", "  [student] bias"]
