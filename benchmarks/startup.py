"""The time of `train_student.py --help`, compared with an empty Python program.

    python -m benchmarks.startup

Each is a process from its start to its end; they alternate.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.measure import alternate, command_line, medians, report

ROOT = Path(__file__).parents[1]
SCRIPTS = ("train_student.py", "train_teacher.py", "make_mel.py")


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()

    def start(*command: str) -> None:
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)

    contenders: dict[str, Callable[[], None]] = {"python -c pass": lambda: start("-c", "pass")}
    for script in SCRIPTS:
        contenders[f"{script} --help"] = partial(start, script, "--help")
    alternate(contenders, 1)  # fills the file cache of the system
    seconds = medians(alternate(contenders, arguments.rounds))
    nothing = seconds["python -c pass"]
    report(
        "startup",
        arguments,
        ("command", "ms", "relative to python"),
        [(name, 1e3 * value, value / nothing) for name, value in seconds.items()],
        {
            "help_seconds_over_python": seconds["train_student.py --help"] / nothing,
            "help_seconds": seconds["train_student.py --help"],
            "python_seconds": nothing,
        },
    )


if __name__ == "__main__":
    main()
