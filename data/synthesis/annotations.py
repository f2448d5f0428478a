"""Annotations of a clip: volunteers with misses and confusions, and a verified answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from data.synthesis.signals import Rng
from data.synthesis.street import KINDS, SHARES, Event
from data.synthesis.taxonomy import COARSE, FINE

VERIFIED = 0
VOLUNTEERS = 60

CONFUSIONS = {
    "1-1": ("4-1", "4-3"),
    "1-2": ("1-3", "1-1"),
    "1-3": ("1-2", "2-X"),
    "2-1": ("4-3", "4-2", "2-2"),
    "2-2": ("2-1", "2-3"),
    "2-3": ("2-2", "3-1"),
    "2-4": ("3-1", "3-1", "2-3"),
    "2-X": ("1-1", "2-2"),
    "3-1": ("2-4", "2-X", "8-1"),
    "4-1": ("1-1", "4-3"),
    "4-2": ("4-3", "2-1"),
    "4-3": ("1-1", "2-1", "4-2"),
    "5-1": ("5-2", "6-1"),
    "5-2": ("5-3", "5-1"),
    "5-3": ("5-2", "6-3"),
    "5-4": ("5-X", "6-3"),
    "6-1": ("7-4", "7-1", "6-2"),
    "6-2": ("6-1", "1-2"),
    "6-3": ("6-1", "5-X"),
    "7-1": ("7-3", "6-1"),
    "7-2": ("7-1", "8-1"),
    "7-3": ("7-1", "6-1"),
    "7-4": ("6-1", "7-1"),
    "8-1": ("7-2", "3-1"),
}
"""The sources that a source is confused with."""

Answer = Mapping[str, str]
"""Fine code -> proximity: "near", "far", "notsure", or "-1" where it is not annotated."""


@dataclass(frozen=True, slots=True)
class Volunteer:
    """One annotator. Rates are probabilities."""

    number: int  # from 1
    distraction: float  # to miss a clearly audible source
    threshold_db: float  # above the background, where half of the sources are detected
    confusion: float  # to confuse a source with another
    imagination: float  # to mark an absent source, per clip
    doubt: float  # to leave the kind open: the X of the taxonomy


def sample_volunteers(rng: Rng) -> list[Volunteer]:
    return [
        Volunteer(
            number=number,
            distraction=0.4 * rng.beta(1.5, 3.0),
            threshold_db=1.0 + 2.0 * rng.standard_normal(),
            confusion=0.25 * rng.beta(1.5, 4.0),
            imagination=0.6 * rng.beta(1.2, 6.0),
            doubt=rng.uniform(0.02, 0.3),
        )
        for number in range(1, VOLUNTEERS + 1)
    ]


def verified_answer(rng: Rng, events: Iterable[Event]) -> Answer:
    """All sources, without proximity; the kind of a faint one is left open half of the time."""
    answer = {}
    for event in events:
        faint = event.above_background_db < 3 and rng.uniform() < 0.5
        answer[unsure(event.kind) if faint else event.kind] = "-1"
    return answer


def volunteer_answer(rng: Rng, volunteer: Volunteer, events: Iterable[Event]) -> Answer:
    """The marks of one volunteer. Quiet sources are missed more often."""
    answer = {}
    for event in events:
        margin = event.above_background_db - volunteer.threshold_db
        detection = (1 - volunteer.distraction) / (1 + np.exp(-margin / 2.5))
        if rng.uniform() < detection:
            kind = event.kind
            if rng.uniform() < volunteer.confusion:
                kind = str(rng.choice(CONFUSIONS[kind]))
            elif rng.uniform() < volunteer.doubt:
                kind = unsure(kind)
            answer[kind] = proximity(rng, event.metres)
    if rng.uniform() < volunteer.imagination:
        coarse = str(1 + rng.choice(len(SHARES), p=SHARES / SHARES.sum()))
        imagined = str(rng.choice(list(KINDS[coarse])))
        answer.setdefault(imagined, str(rng.choice(("far", "notsure"))))
    return answer


def unsure(kind: str) -> str:
    """The X of a kind's coarse class, if there is one."""
    other = f"{kind[0]}-X"
    return other if other in FINE else kind


def proximity(rng: Rng, metres: float) -> str:
    if rng.uniform() < 0.12:
        return "notsure"
    return "near" if metres * np.exp(0.3 * rng.standard_normal()) < 20 else "far"


def row(split: str, sensor: int, filename: str, annotator: int, answer: Answer) -> list[str]:
    """A line of annotations.csv, its numbers written as the real file writes them."""
    coarse = {kind[0] for kind in answer}
    return [
        split,
        str(sensor),
        filename,
        str(annotator),
        *("1.0" if code in answer else "0.0" for code in FINE),
        *(answer.get(code, "-1") for code in FINE),
        *(f"{code in coarse:d}" + (".0" if code == "3" else "") for code in COARSE),
    ]
