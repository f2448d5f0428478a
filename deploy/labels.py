"""The events of one recording -> the lines of a label file, for Audacity or Raven."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from deploy.events import Event

RAVEN = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"),
    *("Low Freq (Hz)", "High Freq (Hz)", "Annotation"),
)


def audacity(events: Iterable[Event], highest_hz: float) -> Iterator[str]:
    """Start, end and name, separated by tabs."""
    for start, end, name in events:
        yield f"{start:.6f}\t{end:.6f}\t{name}"


def raven(events: Iterable[Event], highest_hz: float) -> Iterator[str]:
    """A selection table, whose selections reach from 0 Hz to `highest_hz`."""
    yield "\t".join(RAVEN)
    for number, (start, end, name) in enumerate(events, start=1):
        times = f"{start:.6f}\t{end:.6f}"
        yield f"{number}\tSpectrogram 1\t1\t{times}\t0.0\t{highest_hz:.1f}\t{name}"


LABELS: dict[str, Callable[[Iterable[Event], float], Iterator[str]]] = {
    "audacity": audacity,
    "raven": raven,
}
