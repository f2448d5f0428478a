"""[matrix]: every model as teacher of every other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.errors import ConfigError, choose
from config.fields import key, key_fields, options_field, to_text
from config.pretrained import PRETRAINED
from config.sections.mel import Mel


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """[matrix]: models for train_matrix.py, each as teacher of each; further keys define them:

    CNN = MODEL=efficientnet VARIANT=b0 LEARNING_RATE=5e-4, keys of [teacher], [student] and [mel].
    """

    teachers: tuple[str, ...] = key((), "names of the models that serve as teachers; empty: all")
    students: tuple[str, ...] = key((), "names of the models that serve as students; empty: all")
    chains: tuple[str, ...] = key(
        (),
        "chains of distillation, such as cnn > ast > cnn: each student is the next one's teacher",
    )
    options: Mapping[str, str] = options_field()

    def __post_init__(self) -> None:
        for key_name in ("teachers", "students", "chains"):
            for text in getattr(self, key_name):
                for name in links(text):
                    choose(f"[matrix] {key_name}", self.options, name)
        for name in self.options:
            self.overrides(name, "teacher")

    def overrides(self, name: str, role: str) -> list[str]:
        """The --set overrides of one model in one role. Raises ConfigError.

        Those of an INIT by name are written out: the next run of a chain starts from the trained
        model, which still has this architecture and front end.
        """
        found = []
        for word in self.options[name].split():
            key_name, equals, value = word.partition("=")
            if not (key_name and equals):
                wanted = f"found {word!r}, expected KEY=VALUE KEY=VALUE, such as MODEL=ast"
                raise ConfigError(f"[matrix] {name}", wanted)
            section = f"mel.{role}" if key_name.lower() in key_fields(Mel) else role
            found.append(f"{section}.{key_name}={value}")
            if key_name.lower() == "init" and (named := PRETRAINED.get(value)):
                for keys, place in ((named.role_keys(), role), (named.mel_keys(), f"mel.{role}")):
                    found += [f"{place}.{key}={to_text(fixed)}" for key, fixed in keys.items()]
        return found


def links(chain: str) -> tuple[str, ...]:
    """`cnn > ast` -> ("cnn", "ast")."""
    return tuple(part.strip().lower() for part in chain.split(">"))
