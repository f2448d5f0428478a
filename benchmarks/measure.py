"""Timing of alternating contenders, medians, and the report as a table and one JSON object."""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def command_line(doc: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument(
        "--csv", action="store_true", help="append the figures to benchmarks/results/<name>.csv"
    )
    return parser


def alternate(
    contenders: Mapping[str, Callable[[], float | None]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each contender in each round; they alternate, so other load affects all of them.

    A contender that returns seconds has measured them itself. Every other round is reversed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            measured = contenders[name]()
            elapsed = time.perf_counter() - began
            seconds[name].append(elapsed if measured is None else measured)
    return seconds


def medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in seconds.items()}


def keep_cores(count: int) -> int:
    """Bind this process and its children to at most `count` cores."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    return len(os.sched_getaffinity(0))


def hardware() -> str:
    """Processor, usable cores, and the GPU if there is one."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"{processor()}, {cores} core{'s' if cores != 1 else ''}"
    return found + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def report(
    name: str,
    arguments: argparse.Namespace,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    figures: Mapping[str, Any],
    csv_rows: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Print the hardware, the table and, last, the figures as JSON. With --csv also store the
    figures, or `csv_rows` if given.
    """
    machine = hardware()
    print(f"benchmarks.{name} on {machine}")
    print(table([columns, *([shown(value) for value in row] for row in rows)]))
    print(json.dumps({key: rounded(value) for key, value in figures.items()}), flush=True)
    if arguments.csv:
        stamp = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "hardware": machine}
        lines = [stamp | {k: rounded(v) for k, v in row.items()} for row in csv_rows or [figures]]
        append(RESULTS / f"{name}.csv", lines)


def append(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to a CSV file. Exits with a message if the file has other columns."""
    path.parent.mkdir(exist_ok=True)
    fresh = not path.exists()
    if not fresh and (found := path.read_text().splitlines()[0].split(",")) != list(rows[0]):
        raise SystemExit(
            f"{path} has the columns {', '.join(found)}, expected {', '.join(rows[0])}"
        )
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        if fresh:
            writer.writeheader()
        writer.writerows(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def shown(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def rounded(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value
