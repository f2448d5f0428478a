"""The command line that all scripts share, and their exit status."""

from __future__ import annotations

import argparse
import atexit
import gc
import io
import os
import shlex
import signal
import sys
import time
import traceback
import typing
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from config.errors import ConfigError, UserError
from config.ini import split_override
from config.resolve import load
from config.settings import Config

ROOT = Path(__file__).parents[1]
CONFIG = Path("config.ini")
REPORT_DELAY_SECONDS = 5.0
INSTALL = "run `make demo`, or `python -m pip install -r requirements.txt`"


def missing_package(error: ModuleNotFoundError, install: str = INSTALL) -> UserError:
    """The message for a package that is not installed. Reraises the error of a project module."""
    package = (error.name or "").partition(".")[0]
    if not package or (ROOT / package).is_dir() or (ROOT / f"{package}.py").is_file():
        raise error
    return UserError(f"the package {package} is missing: {install}")


def wait_for_lower_ranks() -> None:
    """Delay the error message of a process by its rank, so that each error is printed once.

    Most errors occur in all processes, and torchrun stops all as soon as one has exited: rank 0
    prints at once, the first process of another machine later, the others last.
    """
    before = [name for name in ("RANK", "LOCAL_RANK") if int(os.environ.get(name, 0)) > 0]
    time.sleep(REPORT_DELAY_SECONDS * len(before))


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        wait_for_lower_ranks()
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
        default=CONFIG,
        metavar="FILE",
        help=f"default: {CONFIG}",
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


def add_config_of_models(parser: argparse.ArgumentParser) -> None:
    """For programs that read trained models: `models_of` has what this option allows."""
    parser.add_argument(
        "--config",
        type=Path,
        default=CONFIG,
        metavar="FILE",
        help="a model of your own, file.py:function, is run if MODEL in this configuration names "
        f"it; default: {CONFIG}",
    )


def next_command(script: str, arguments: argparse.Namespace) -> str:
    """The line that names the next script, with the configuration of this one."""
    words = ["python", script]
    if arguments.config != CONFIG:
        words += ["--config", str(arguments.config)]
    for override in arguments.set:
        words += ["--set", override]
    return f"next: {shlex.join(words)}"


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a scheduler sends it before it ends a job: handled as Ctrl-C."""


def terminate(number: int, frame: FrameType | None) -> typing.NoReturn:
    raise Terminated


def print_any_name() -> None:
    """A name that the encoding of the output cannot hold is printed with its codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def located(error: ConfigError, arguments: argparse.Namespace) -> str:
    """The error with the --set or else the file that has its key. `load` names these itself."""
    if not error.where.startswith("["):
        return str(error)
    for text in reversed(arguments.set):
        for section, entries in split_override(text).items():
            if error.where in [f"[{section}] {name}" for name in entries]:
                return f"--set {text}: {error.message}"
    return f"{arguments.config} {error}"


def run_script(
    main: Callable[[argparse.Namespace, Config], None], parser: argparse.ArgumentParser
) -> typing.NoReturn:
    """Parse the command line, run `main`, and exit: errors of the user are one clear message."""
    atexit.register(gc.freeze)  # or the exit collects all of PyTorch's modules, which takes 0.4 s
    arguments = parser.parse_args()
    print_any_name()
    if "LOCAL_RANK" not in os.environ:  # torchrun ends the others by SIGTERM where one has failed
        signal.signal(signal.SIGTERM, terminate)
    try:
        main(arguments, load(arguments.config, arguments.set))
    except (UserError, OSError, ModuleNotFoundError) as error:
        if isinstance(error, ModuleNotFoundError):
            error = missing_package(error)
        wait_for_lower_ranks()
        if arguments.debug:
            traceback.print_exc()
        message = located(error, arguments) if isinstance(error, ConfigError) else error
        print(f"{parser.prog}: {message}", file=sys.stderr)
        sys.exit(getattr(error, "exit_status", 1))
    except KeyboardInterrupt as error:
        wait_for_lower_ranks()
        print(f"{parser.prog}: stopped; start it again to resume", file=sys.stderr)
        sys.exit(143 if isinstance(error, Terminated) else 130)
    sys.exit(0)
