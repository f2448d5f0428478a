"""Values from text."""

import re
from typing import Literal

import pytest

from config import ConfigError
from config.fields import cast


@pytest.mark.parametrize(
    ("text", "hint", "value"),
    [
        ("yes", bool, True),
        ("TRUE", bool, True),
        ("0", bool, False),
        ("off", bool, False),
        ("-3", int, -3),
        ("1e-4", float, 1e-4),
        ("2", float, 2.0),
        ("x y", str, "x y"),
        ("", str, ""),
        ("V2", Literal["v1", "v2"], "v2"),
        ("2", Literal[1, 2], 2),
        ("Hann", Literal["Hann", "none"], "Hann"),
        ("", tuple[int, ...], ()),
        ("1, 2,3,", tuple[int, ...], (1, 2, 3)),
        ("a b, c", tuple[str, ...], ("a b", "c")),
        ("3, 5", tuple[int, int], (3, 5)),
        ("", int | None, None),
        ("4", int | None, 4),
        ("", tuple[int, int] | None, None),
        ("4, 4", tuple[int, int] | None, (4, 4)),
    ],
)
def test_cast(text, hint, value):
    found = cast(text, hint, "[x] y")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "hint", "message"),
    [
        ("ja", bool, "found 'ja', expected yes or no"),
        ("8.0", int, "found '8.0', expected a whole number"),
        ("", int, "found '', expected a whole number"),
        ("1,5", float, "found '1,5', expected a number"),
        ("nan", float, "found 'nan', expected a number"),
        ("inf", float, "found 'inf', expected a number"),
        ("power2", Literal["magnitude", "power"], "nearest: power (allowed: magnitude, power)"),
        ("qq", Literal["magnitude", "power"], "found 'qq' (allowed: magnitude, power)"),
        ("1, x", tuple[int, ...], "found 'x', expected a whole number"),
        ("1", tuple[int, int], "found '1', expected 2 values"),
        ("x", int | None, "found 'x', expected a whole number"),
    ],
)
def test_cast_refuses(text, hint, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        cast(text, hint, "[x] y")
    assert str(caught.value).startswith("[x] y: found ")
