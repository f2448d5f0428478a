"""`python -m report runs/NAME`: write the page of a run; of several, a page that compares them."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from config import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m report",
        description="Write the page of a run, runs/NAME/report.html. Of several runs, a page that "
        "compares them, comparison.html in the folder of the first.",
        epilog="Run it where the training was run: features/ and audio/ are looked for there.",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="runs/NAME", help="folders of runs")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    given = parser.parse_args(arguments)
    from report.page import write_page

    try:
        print(write_page(given.runs))
    except (UserError, OSError, ImportError) as error:
        if given.debug:
            traceback.print_exc()
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return getattr(error, "exit_status", 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
