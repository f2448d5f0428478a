"""The command line that all scripts share, and their exit status."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
import typing
from collections.abc import Callable
from pathlib import Path

from config.errors import ConfigError, UserError
from config.resolve import load
from config.settings import Config

PATIENCE_SECONDS = 5.0


def let_others_speak_first() -> None:
    """So that several processes say each error once.

    Most errors meet all of them, and torchrun ends all as soon as one has ended: rank 0 speaks at
    once, the first of another machine after a while, the others after that, where they still live.
    """
    before = [name for name in ("RANK", "LOCAL_RANK") if int(os.environ.get(name, 0)) > 0]
    time.sleep(PATIENCE_SECONDS * len(before))


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        let_others_speak_first()
        super().error(message)


def script_parser(description: str, *flags: tuple[str, str]) -> argparse.ArgumentParser:
    """The options that all scripts share, and `flags`: further switches with their help."""
    parser = Parser(
        description=description,
        epilog="`python -m config` lists every section and key of a configuration file.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("config.ini"),
        metavar="FILE",
        help="default: config.ini",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="override one key, such as student.epochs=20; may be repeated",
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    for name, text in flags:
        parser.add_argument(name, action="store_true", help=text)
    return parser


def run_script(
    main: Callable[[argparse.Namespace, Config], None], parser: argparse.ArgumentParser
) -> typing.NoReturn:
    """Parse, run `main`, and turn the user's errors into one clear message and an exit status."""
    arguments = parser.parse_args()
    try:
        main(arguments, load(arguments.config, arguments.set))
    except (UserError, OSError) as error:
        let_others_speak_first()
        if arguments.debug:
            traceback.print_exc()
        in_file = isinstance(error, ConfigError) and error.where.startswith("[")
        place = f"{arguments.config} " if in_file else ""  # `load` has named the file itself
        print(f"{parser.prog}: {place}{error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_status", 1))
    except KeyboardInterrupt:
        let_others_speak_first()
        print(f"{parser.prog}: stopped; start it again and it goes on from here", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
