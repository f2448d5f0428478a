"""What a page is made of: sections, and in them texts, pictures, tables and clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from config import UserError
from report.run import System


class Absent(UserError):
    """A section that cannot be made; the message is the sentence that stands in its place."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG that takes its colours and its font from the page."""

    name: str  # unique on the page
    svg: str
    width: int  # px, as it was drawn


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures beside one another, as many in a row as there is room for; one legend for all."""

    pictures: Sequence[Picture]
    caption: str  # what one sees, a sentence
    legend: Sequence[System] = ()
    shrink: float = 1.0  # how far they may shrink on a phone, to stand side by side there too
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
    """`data` is a data: URI; None with the `reason` why there is no sound."""

    data: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ClipCard:
    """A clip: what it sounds and looks like, what is heard in it and what each system said."""

    name: str
    why: str
    truth: str
    mel: Picture | None
    sound: Sound
    said: Table


@dataclass(frozen=True, slots=True)
class Clips:
    cards: Sequence[ClipCard]
    kind: str = "clips"


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: Sequence[Text | Pictures | Table | Clips]
