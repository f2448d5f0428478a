"""`python -m models`: list the models, or count one as a JSON object."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config import ConfigError, UserError, constructor_options, options_field
from models import MODELS, find_model
from models.cost import cost


@dataclass(frozen=True)
class Options:
    options: Mapping[str, str] = options_field()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m models",
        description="List every model, or print parameters, macs and weight_bytes of one.",
    )
    parser.add_argument(
        "name", nargs="?", help="a model, or file.py:function of yours; without it, all are listed"
    )
    parser.add_argument("option", nargs="*", help="option=value, such as width_mult=0.5")
    parser.add_argument("--classes", type=int, default=8, metavar="K", help="default: 8")
    parser.add_argument(
        "--input",
        default="1x998x64",
        metavar="CxTxF",
        help="channels x frames x bands, or channels x samples as 2x480000; default: 1x998x64",
    )
    given = parser.parse_intermixed_args(arguments)
    if given.name is None:
        for name, model in MODELS.items():
            print(f"{name:<12} {model.__doc__.partition(chr(10))[0]}")
        return 0
    try:
        constructor = find_model("model", given.name)
        options = Options(dict(map(split_option, given.option)))
        if given.classes < 1:
            raise ConfigError("--classes", f"found {given.classes}, want at least 1")
        input_shape = parse_shape(given.input)
        model = constructor(
            num_classes=given.classes,
            input_shape=input_shape,
            **constructor_options(given.name, options, constructor),
        )
    except UserError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return error.exit_status
    print(json.dumps({"model": given.name, **cost(model, input_shape)._asdict()}))
    return 0


def split_option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name):
        raise ConfigError(text, "want option=value, such as width_mult=0.5")
    return name.strip().lower(), value.strip()


def parse_shape(text: str) -> tuple[int, ...]:
    """`1x998x64` -> (1, 998, 64)."""
    sizes = text.lower().split("x")
    if not all(size.isascii() and size.isdigit() for size in sizes):
        raise ConfigError(f"--input {text}", "want channels x frames x bands, such as 1x998x64")
    return tuple(map(int, sizes))


if __name__ == "__main__":
    sys.exit(main())
