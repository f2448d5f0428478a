"""One key of a section: its default, meaning, unit and range, and its value from and to text."""

from __future__ import annotations

import configparser
import math
import typing
from dataclasses import Field, field, fields
from types import NoneType
from typing import Any, Literal

from config.errors import ConfigError, nearest

LIMIT = 1e9  # of a number without a range of its own: a larger one is an error


def key(default: Any, doc: str, *, low: float | None = None, high: float | None = None) -> Any:
    """A field of a section: its default, its meaning (with its unit) and its closed range.

    `high` needs `low`.
    """
    return field(default=default, metadata={"doc": doc, "low": low, "high": high})


def options_field() -> Any:
    """The further keys of a section, as text: options of the model or data set that it names."""
    return field(default_factory=dict, metadata={"options": True})


def key_fields(kind: Any) -> dict[str, Field[Any]]:
    """The fields of a section that are keys: all but `options`."""
    return {f.name: f for f in fields(kind) if "options" not in f.metadata}


def flat_items(section: Any) -> list[tuple[str, Any]]:
    """(key, value) of a section, its options among them."""
    own = [(name, getattr(section, name)) for name in key_fields(section)]
    return own + list(getattr(section, "options", {}).items())


def cast(text: str, hint: Any, where: str) -> Any:
    """Text as bool, int, float, str, one of a Literal, a tuple of these, or None for nothing."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        choices = {str(choice).lower(): choice for choice in arguments}
        if text.lower() not in choices:
            raise ConfigError(where, f"found {text!r}{nearest(text, choices)}")
        return choices[text.lower()]
    if origin is tuple:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if Ellipsis not in arguments and len(parts) != len(arguments):
            raise ConfigError(where, f"found {text!r}, expected {len(arguments)} values")
        return tuple(cast(part, arguments[0], where) for part in parts)
    if NoneType in arguments:
        some = next(argument for argument in arguments if argument is not NoneType)
        return cast(text, some, where) if text else None
    if hint is bool:
        try:
            return configparser.ConfigParser.BOOLEAN_STATES[text.lower()]
        except KeyError:
            raise ConfigError(where, f"found {text!r}, expected yes or no") from None
    try:
        value = hint(text)
        if hint is float and not math.isfinite(value):
            raise ValueError
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}[hint]
        raise ConfigError(where, f"found {text!r}, expected {wanted}") from None
    return value


def check_value(where: str, f: Field[Any], value: Any) -> None:
    """Raise ConfigError for a number out of range, and for duplicates in a list of no floats."""
    low, high = f.metadata.get("low"), f.metadata.get("high")
    numbers = value if isinstance(value, tuple) else () if value is None else (value,)
    for number in numbers:
        if (low is not None and number < low) or (high is not None and number > high):
            raise ConfigError(where, f"found {number}, expected {allowed_range(f)}")
    if high is None:
        check_limit(where, *numbers)
    if isinstance(value, tuple) and len(set(value)) < len(value) and type(value[0]) is not float:
        raise ConfigError(where, f"found {to_text(value)}, expected no duplicates")


def check_limit(where: str, *values: Any) -> None:
    """Raise ConfigError for a number beyond LIMIT."""
    for value in values:
        if isinstance(value, int | float) and abs(value) > LIMIT:
            raise ConfigError(where, f"found {value}, expected at most {LIMIT:g}")


def allowed_range(f: Field[Any]) -> str:
    low, high = f.metadata["low"], f.metadata["high"]
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"


def to_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(to_text, value))
    return "" if value is None else str(value)
