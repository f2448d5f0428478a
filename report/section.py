"""The parts of a page: sections of texts, pictures, tables and clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from config import UserError
from report.run import System


class Absent(UserError):
    """A section cannot be made; the page shows the message in its place."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG with the colours and the font of the page."""

    name: str  # unique on the page
    svg: str
    width: int  # px, as it was drawn


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures in a grid, with one caption and one legend."""

    pictures: Sequence[Picture]
    caption: str
    legend: Sequence[System] = ()
    shrink: float = 1.0  # how far they may shrink on a phone, to fit next to one another
    kind: str = "pictures"

    @property
    def width(self) -> int:
        return max(picture.width for picture in self.pictures)


class Cell(NamedTuple):
    """`value` is what the column is sorted by; None for a text."""

    text: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str
    sortable: bool = False
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class Sound:
    """`data` is a data: URI, or None, with the `reason`."""

    data: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ClipCard:
    """A clip: its mel, sound and labels, and the probabilities of each system."""

    name: str
    why: str
    labels: str
    mel: Picture | None
    sound: Sound
    probabilities: Table


@dataclass(frozen=True, slots=True)
class Clips:
    cards: Sequence[ClipCard]
    kind: str = "clips"


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: Sequence[Text | Pictures | Table | Clips]
