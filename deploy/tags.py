"""Predictions of windows -> lines: a table, CSV or JSON lines.

Each format is a generator that yields a line as soon as it is complete.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data.tables.formulas import as_text
from deploy.description import Description

UNCALIBRATED = 0.5  # threshold of a file that stores none


class Row(NamedTuple):
    """One window."""

    recording: str
    start: float  # s
    end: float  # s
    probabilities: np.ndarray  # (K,), in the order of the classes


@dataclass(frozen=True, slots=True)
class TagSelection:
    """The tags of a window: the `top` most probable classes, none below its threshold."""

    classes: tuple[str, ...]
    threshold: float | Sequence[float]  # of all classes, or of each
    top: int

    @classmethod
    def of(
        cls, students: Sequence[Description], threshold: float | None, top: int | None
    ) -> TagSelection:
        """By default, the most probable class of single-label students; of others the classes at
        or above the thresholds of their files (the mean of several students), or 0.5. `top` alone:
        the most probable classes, also below these thresholds.
        """
        first = students[0]
        if top is None and first.task == "single_label":
            top = 1
        chosen: float | Sequence[float]
        if threshold is not None:
            chosen = threshold
        elif top is not None:
            chosen = 0.0
        else:
            stored = [s.thresholds or (UNCALIBRATED,) * len(s.classes) for s in students]
            chosen = tuple(np.mean(stored, axis=0).tolist())
        return cls(first.classes, chosen, top or len(first.classes))

    def tags(self, probabilities: np.ndarray) -> list[tuple[str, float]]:
        """(class, probability), the most probable first."""
        order = np.argsort(-probabilities, kind="stable")[: self.top]
        is_tag = probabilities >= np.asarray(self.threshold)
        return [(self.classes[k], float(probabilities[k])) for k in order if is_tag[k]]


def table(rows: Iterable[Row], selection: TagSelection) -> Iterator[str]:
    """Readable text: the recording, and below it one line per window."""
    recording = None
    for row in rows:
        if row.recording != recording:
            recording = row.recording
            yield recording
        tags = ", ".join(f"{name} {p:.2f}" for name, p in selection.tags(row.probabilities))
        yield f"{clock(row.start):>11} {clock(row.end):>11}  {tags or '-'}"


def comma_separated(rows: Iterable[Row], selection: TagSelection) -> Iterator[str]:
    """All probabilities, one column per class."""
    yield csv_line(["recording", "start", "end", *map(as_text, selection.classes)])
    for row in rows:
        values = [f"{p:.6f}" for p in row.probabilities]
        yield csv_line([as_text(row.recording), f"{row.start:.3f}", f"{row.end:.3f}", *values])


def json_lines(rows: Iterable[Row], selection: TagSelection) -> Iterator[str]:
    """One object per window: its tags, and all probabilities."""
    for row in rows:
        probabilities = [round(float(p), 6) for p in row.probabilities]
        described = {
            "recording": row.recording,
            "start": round(row.start, 3),
            "end": round(row.end, 3),
            "tags": [name for name, _ in selection.tags(row.probabilities)],
            "probabilities": dict(zip(selection.classes, probabilities, strict=True)),
        }
        yield json.dumps(described, ensure_ascii=False)


FORMATS: dict[str, Callable[[Iterable[Row], TagSelection], Iterator[str]]] = {
    "table": table,
    "csv": comma_separated,
    "jsonl": json_lines,
}


def clock(seconds: float) -> str:
    """12:34.50, or 1:02:03.45 from an hour on."""
    minutes, hundredths = divmod(round(100 * seconds), 6000)
    hours, minutes = divmod(minutes, 60)
    short = f"{minutes:02}:{hundredths / 100:05.2f}"
    return f"{hours}:{short}" if hours else short


def csv_line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()
