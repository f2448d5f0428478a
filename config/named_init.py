"""Keys that INIT, by the name of a published model, and HEAD_FIT bring."""

from __future__ import annotations

import typing
from typing import Any

from config.errors import ConfigError
from config.fields import cast, to_text
from config.ini import Entries, Entry
from config.pretrained import PRETRAINED
from config.sections.mel import Mel


def fill_in(given: Entries, role: str, problems: list[ConfigError]) -> None:
    """Add the keys of [role] and [mel.role] that INIT of "teacher" or "student" fixes by its name.

    A key that is set to another value is appended to `problems`; weights from ImageNet fix
    LOAD_CLASSIFIER = no. The defaults of others are added too: LOAD_CLASSIFIER = no with HEAD_FIT =
    logistic_regression, which fits a new classifier, and the options for a published classifier
    where it is loaded.
    """
    keys = given.get(role, {})
    if (fit := keys.get("head_fit")) and fit.text.lower() == "logistic_regression":
        keys.setdefault("load_classifier", Entry("no", fit.where))
    init, loads = keys.get("init"), keys.get("load_classifier")
    if init is None or init.text not in PRETRAINED:
        return
    named = PRETRAINED[init.text]
    mel, hints = f"mel.{role}", typing.get_type_hints(Mel)
    required: list[tuple[str, tuple[str, ...], str, Any, Any]] = [
        *((role, (role,), name, value, type(value)) for name, value in named.role_keys().items()),
        *((mel, (mel, "mel"), name, v, hints[name]) for name, v in named.mel_keys().items()),
    ]
    if not named.has_classifier:
        required.append((role, (role,), "load_classifier", False, bool))
    for section, places, name, value, hint in required:
        found = next((given[place][name] for place in places if name in given.get(place, {})), None)
        if found is not None and not is_equal(found, value, hint):
            message = (
                f"found {found.text}, but INIT = {init.text} of [{role}] requires {to_text(value)}"
            )
            if found is given.get("mel", {}).get(name):
                message += "; [mel] is for both roles: set the other one's in its own section"
            problems.append(ConfigError(found.where, message))
            found = None  # so that the other keys have no further problem with it
        if found is None:
            given.setdefault(section, {})[name] = Entry(to_text(value), init.where)
    if loads is None or not is_equal(loads, False, bool):
        for name, value in named.classifier_options.items():
            keys.setdefault(name, Entry(to_text(value), init.where))


def is_equal(entry: Entry, value: Any, hint: Any) -> bool:
    """Whether an entry has this value. One of another type is not this function's problem."""
    try:
        return cast(entry.text, hint, entry.where) == value
    except ConfigError:
        return True
