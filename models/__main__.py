"""`python -m models`: list the models or published weights, describe one, or print its cost."""

import argparse
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from config import ConfigError, UserError, constructor_options, options_field
from config.pretrained import PRETRAINED
from models import MODELS, find_model
from models.cost import cost

FRAMES = 998  # of 10 s at a hop of 10 ms
BANDS = 128  # of weights that have no front end of their own


@dataclass(frozen=True)
class Options:
    options: Mapping[str, str] = options_field()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m models",
        description="List all models, or print parameters, macs and weight_bytes of one.",
    )
    parser.add_argument(
        "name",
        nargs="?",
        help="a model, or your own as file.py:function; without it, all are listed",
    )
    parser.add_argument(
        "--describe", action="store_true", help="print the model's description and options instead"
    )
    parser.add_argument(
        "--pretrained",
        action="store_true",
        help="list the published models that INIT takes by name, with their mAP on AudioSet "
        "(those of FSD50K: on FSD50K)",
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
    if given.pretrained:
        print("\n".join(pretrained_lines()))
        return 0
    if given.name is None:
        for name, listed in MODELS.items():
            print(f"{name:<12} {first_line(listed)}")
        return 0
    try:
        constructor = find_model("model", given.name)
        if given.describe:
            print(wrapped(inspect.getdoc(constructor) or "no description"))
            return 0
        options = Options(dict(map(split_option, given.option)))
        if given.classes < 1:
            raise ConfigError("--classes", f"found {given.classes}, expected at least 1")
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


def pretrained_lines() -> Iterator[str]:
    """A table of the published models that INIT takes by name."""
    row = "{:<36} {:<12} {:>5} {:>10} {}".format
    yield row("name", "model", "mAP", "parameters", "licence")
    for name, named in PRETRAINED.items():
        with torch.device("meta"):
            model = MODELS[named.model](
                num_classes=named.classes,
                input_shape=(1, FRAMES, named.front_end.num_bands if named.front_end else BANDS),
                **named.options,
            )
        parameters = sum(p.numel() for p in model.parameters())
        known = named.mean_average_precision is not None
        score = f"{named.mean_average_precision:.3f}" if known else "-"
        yield row(name, named.model, score, f"{parameters:,}", named.licence)


def first_line(constructor: Callable[..., object]) -> str:
    return (inspect.getdoc(constructor) or "").partition("\n")[0]


def wrapped(text: str) -> str:
    """A docstring for a terminal of 80 columns. Options and "Source:" and the like start lines."""
    lines: list[str] = []
    for part in re.split(r"\n(?=\n|    \w+: |[A-Z]\w+:|Raises )", text):
        indent = "    " if part.startswith("    ") else ""
        hanging = indent and "        "
        paragraph = textwrap.fill(
            " ".join(part.split()),
            80,
            initial_indent=indent,
            subsequent_indent=hanging,
            break_on_hyphens=False,
        )
        lines.append("\n" + paragraph if part.startswith("\n") else paragraph)
    return "\n".join(lines)


def split_option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name):
        raise ConfigError(text, "expected option=value, such as width_mult=0.5")
    return name.strip().lower(), value.strip()


def parse_shape(text: str) -> tuple[int, ...]:
    """`1x998x64` -> (1, 998, 64)."""
    sizes = text.lower().split("x")
    if not all(size.isascii() and size.isdigit() for size in sizes):
        raise ConfigError(f"--input {text}", "expected channels x frames x bands, such as 1x998x64")
    return tuple(map(int, sizes))


if __name__ == "__main__":
    sys.exit(main())
