"""The runs of a folder, one line each: date, data set, best variant and score."""

from __future__ import annotations

from pathlib import Path

from config import UserError
from report.drawing import shortened
from report.run import Run, trainings
from report.table import WIDTH

HEAD = ("run", "date", "data set", "metric", "score", "best variant", "trainings")
SHRINKABLE = (0, 2, 3, 5)  # columns whose texts may be shortened


def listing(folder: Path) -> str:
    """At most WIDTH columns wide. Raises UserError where there are no runs."""
    runs = [path for path in sorted(folder.glob("*")) if (path / "config.ini").is_file()]
    if not runs:
        raise UserError(f"{folder}: no runs in it")
    rows, others = [list(HEAD)], []
    for path in runs:
        try:
            rows.append(run_row(Run(path)))
        except UserError as error:
            reason = str(error).removeprefix(f"{path}: ").splitlines()[0]
            others.append(shortened(f"{path.name}: {reason}", WIDTH))
    return "\n".join([*(fit(rows) if len(rows) > 1 else []), *others])


def run_row(run: Run) -> list[str]:
    best = run.best or run.teacher
    score = f"{run.scores(best)['value'].mean():.4f}" if best else ""
    return [
        run.name,
        run.date.isoformat(),
        run.config.data.dataset,
        run.metric,
        score,
        best.label if best else "",
        str(len(trainings(run.folder))),
    ]


def fit(rows: list[list[str]]) -> list[str]:
    """Aligned lines; the longest texts are shortened until all fit."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH:
        longest = max(SHRINKABLE, key=widths.__getitem__)
        widths[longest] -= 1
    return [
        "  ".join(
            shortened(text, width).ljust(width) for text, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
