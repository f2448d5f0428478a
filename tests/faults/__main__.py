"""Random faults for some minutes, and the table of them: `make torture`.

    python -m tests.faults --minutes 20 --seed 1 --write

`--fault TEXT` keeps the faults whose name has that text;
`--first N` starts with trial N, to repeat one that was lost. Exit status 1 where any was lost.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.faults import FAULTS, QUICK, Fault
from tests.faults.place import Lost, finished

MANY = 20  # trials of a quick fault in its turn
PAGE = Path(__file__).parents[2] / "docs/robustness.md"
PART = re.compile(r"(<!-- faults -->\n).*?(<!-- end -->)", re.DOTALL)


def attempt(name: str, fault: Fault, seed: int, number: int) -> str:
    """What was lost; empty where nothing was."""
    with tempfile.TemporaryDirectory(prefix="fault_") as folder:
        try:
            fault(Random(f"{name} {seed} {number}"), Path(folder))
        except Lost as lost:
            return str(lost)
        except Exception:
            return traceback.format_exc()
    return ""


def in_a_fork(name: str, fault: Fault, seed: int, number: int) -> str:
    """As `attempt`; a crash of the decoder, say, ends this process alone."""
    with tempfile.TemporaryFile("w+") as file:
        if (child := os.fork()) == 0:
            status = 3
            try:
                file.write(attempt(name, fault, seed, number))
                file.flush()
                status = 0
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        file.seek(0)
        return file.read() if ended == 0 else f"the process of the trial ended with {ended}"


def table(tried: Mapping[str, int], lost: Mapping[str, int]) -> str:
    rows = ["| fault | tried | lost |", "| --- | ---: | ---: |"]
    rows += [f"| {name} | {tried[name]:,} | {lost[name]:,} |" for name in tried]
    total = f"| all | {sum(tried.values()):,} | {sum(lost.values()):,} |"
    return "\n".join([*rows, total])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault", default="", metavar="TEXT")
    parser.add_argument("--first", type=int, default=0, metavar="N")
    parser.add_argument(
        "--trials", type=int, default=10**9, metavar="N", help="of each quick fault"
    )
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    arguments = parser.parse_args()
    chosen = {name: fault for name, fault in FAULTS.items() if arguments.fault in name}
    finished()
    end = time.monotonic() + 60 * arguments.minutes
    tried, lost = Counter(dict.fromkeys(chosen, 0)), Counter[str]()
    for name, number in turns(chosen, arguments.first, arguments.trials):
        if time.monotonic() > end:
            break
        tried[name] += 1
        how = in_a_fork if name in QUICK else attempt  # scripts are in a process of their own
        if found := how(name, chosen[name], arguments.seed, number):
            lost[name] += 1
            again = f'--seed {arguments.seed} --first {number} --trials 1 --fault "{name}"'
            print(f"LOST {again}\n{found}\n", file=sys.stderr, flush=True)
    print(table(tried, lost))
    if arguments.write:
        text = PAGE.read_text(encoding="utf-8")
        new = PART.sub(lambda part: f"{part[1]}\n{table(tried, lost)}\n\n{part[2]}", text)
        PAGE.write_text(new, encoding="utf-8")
    return 1 if lost else 0


def turns(names: Iterable[str], first: int, trials: int) -> Iterator[tuple[str, int]]:
    """(fault, number of the trial): in turn, of the quick ones many."""
    for done in range(0, trials, MANY):
        for name in names:
            quick = name in QUICK
            start = first + (done if quick else done // MANY)
            for number in range(start, start + min(MANY if quick else 1, trials - done)):
                yield name, number


if __name__ == "__main__":
    sys.exit(main())
