"""`python -m data [NAME]`: the data sets, or one with its options and layout."""

from __future__ import annotations

import argparse
import inspect
import typing

from config import UserError, choose, to_text
from data.datasets import DATASETS


def listing() -> str:
    """One paragraph per data set."""
    lines = []
    for name, dataset in DATASETS.items():
        lines += [
            name,
            f"    clips    {dataset.clips_summary}",
            f"    labels   {dataset.labels_summary}",
            f"    licence  {dataset.licence}",
            f"    audio    {dataset.how_to_get}",
            "",
        ]
    return "\n".join([*lines, "More about one: python -m data NAME"])


def description(name: str) -> str:
    """Docstring, options with their defaults, and lines for config.ini. Raises UserError."""
    dataset = choose("data set", DATASETS, name)
    hints = typing.get_type_hints(dataset.__init__)
    options, settings = [], ["[data]", f"DATASET = {name}"]
    if not dataset.embedded:
        settings.append(f"ROOT = audio/{name}")
    for option in inspect.signature(dataset).parameters.values():
        default, hint = to_text(option.default), hints[option.name]
        allowed = f" (one of {', '.join(typing.get_args(hint))})" if is_choice(hint) else ""
        options.append(f"    {option.name.upper()} = {default or '(empty)'}{allowed}")
        settings.append(f"{option.name.upper()} = {default}".rstrip())
    return "\n".join(
        [
            name,
            "",
            inspect.getdoc(dataset) or "",
            "",
            f"Clips: {dataset.clips_summary}. Labels: {dataset.labels_summary}.",
            f"Licence: {dataset.licence}.",
            f"Audio: {dataset.how_to_get}.",
            "",
            "Options and their defaults:",
            *(options or ["    none"]),
            "",
            "Lines for config.ini:",
            "",
            *settings,
        ]
    )


def is_choice(hint: object) -> bool:
    return typing.get_origin(hint) is typing.Literal


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m data", description="List the data sets.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="a data set to describe")
    name = parser.parse_args(arguments).name
    try:
        print(description(name) if name else listing())
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
