"""`python -m report runs/NAME`: the page of a run; of several runs, a page that compares them."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from config import UserError, add_config_of_models, models_of


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser()
    given = options.parse_args(arguments)
    if bool(given.runs) == (given.list is not None):
        options.error("name the folder of a run, such as runs/config, or use --list")
    try:
        if given.list is not None:
            from report.listing import listing

            print(listing(given.list))
        else:
            from report.page import write_page

            print(write_page(given.runs, models_of(given.config)))
    except (UserError, OSError, ImportError) as error:
        if given.debug:
            traceback.print_exc()
        print(f"{options.prog}: {error}", file=sys.stderr)
        return getattr(error, "exit_status", 1)
    return 0


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m report",
        description="Write the page of a run, runs/NAME/report.html. Of several runs, write a page "
        "that compares them, comparison.html in the folder of the first.",
        epilog="Run it in the folder where the models were trained, with features/ and audio/.",
        allow_abbrev=False,
    )
    found.add_argument("runs", nargs="*", type=Path, metavar="runs/NAME", help="folders of runs")
    found.add_argument(
        "--list",
        nargs="?",
        type=Path,
        const=Path("runs"),
        metavar="FOLDER",
        help="list the runs in a folder (default: runs) with their best variant and score",
    )
    add_config_of_models(found)
    found.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return found


if __name__ == "__main__":
    sys.exit(main())
