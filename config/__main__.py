"""`python -m config [SECTION]`: the keys of a configuration file, their defaults and meanings."""

import argparse
import sys

from config.errors import ConfigError
from config.reference import overview, section_text


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config", description=__doc__)
    parser.add_argument("section", nargs="?", help="such as teacher, mel, or mel.student")
    section = parser.parse_args().section
    try:
        print(section_text(section.strip("[]").lower()) if section else overview())
    except ConfigError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
