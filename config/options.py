"""The options of a model or data set: further keys of its section."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection
from typing import Any

from config.errors import ConfigError
from config.fields import cast, check_limit, key_fields
from config.renamed import successor
from config.resolve import collected, raise_together
from config.sections import no_such_key

OF_DATA = ("num_classes", "input_shape")


def constructor_options(
    where: str, section: Any, constructor: Callable[..., Any], given: Collection[str] = OF_DATA
) -> dict[str, Any]:
    """The section's further keys, cast to the types of the constructor's keyword-only parameters,
    except those that are `given`: of a model, what follows from the data.

    `where` is the section's name in brackets. Raises ConfigError for a key that is neither one of
    the section nor a parameter, and for a value of another type or beyond `LIMIT`.
    """
    hints = typing.get_type_hints(
        constructor.__init__ if inspect.isclass(constructor) else constructor
    )
    parameters = {
        p.name: hints.get(p.name, str)
        for p in inspect.signature(constructor).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name not in given
    }
    known = [*parameters, *key_fields(section)]
    problems: list[ConfigError] = []
    values = {}
    for name, text in section.options.items():
        with collected(problems):
            if name not in parameters:
                unknown = no_such_key(name, known)
                if owner := getattr(section, "dataset", "") or getattr(section, "model", ""):
                    unknown = f"{owner} has {unknown}"
                raise ConfigError(f"{where} {name}", successor(where[1:-1], name) or unknown)
            values[name] = cast(text, parameters[name], f"{where} {name}")
            value = values[name]
            check_limit(f"{where} {name}", *(value if isinstance(value, tuple) else (value,)))
    raise_together(where, problems)
    return values
