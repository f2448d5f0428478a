"""A handful of clips to look at and to listen to: where the student and its teacher differ most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from report.clip_loss import clip_losses
from report.drawing import picture
from report.run import Judged, Run, System
from report.section import Absent, Cell, ClipCard, Clips, Picture, Section, Table, Text
from report.sound import sound_of
from report.spectrogram import draw_mel, for_a_picture

EACH = 3  # clips that are won, and that are lost
MENDED = 2
MOST_CLASSES = 8  # in a clip's table: what is heard, then what is said most


class Choice(NamedTuple):
    place: int  # among the reported clips
    why: str


def section(run: Run) -> Section:
    if not run.best:
        raise Absent("no student has been trained yet")
    seed = run.seeds[0]
    judged = {system: run.judged(system, seed) for system in run.pictured}
    losses = {system: clip_losses(found, run.task) for system, found in judged.items()}
    chosen = choices(run, losses)
    if not chosen:
        raise Absent("there is nothing to compare the student with")
    cards = [card(run, number, choice, judged) for number, choice in enumerate(chosen)]
    text = (
        f"The clips that {run.best.label} gets right where others do not, and the reverse, by the "
        f"cross-entropy of the clip; seed {seed}. Bars are probabilities, dots mark what is heard."
    )
    return Section("Clips to listen to", [Text(text), Clips(cards)])


def choices(run: Run, losses: Mapping[System, np.ndarray]) -> list[Choice]:
    """The clips with the largest differences, each once, the largest first."""
    found: dict[int, str] = {}

    def take(other: System, sign: int, most: int, why: str) -> None:
        ahead = sign * (losses[other] - losses[run.best])
        fresh = [place for place in (-ahead).argsort(kind="stable").tolist() if place not in found]
        for place in fresh[:most]:
            if ahead[place] > 0:
                own, others = losses[run.best][place], losses[other][place]
                found[place] = f"{why}: {own:.2f} against {others:.2f} nats"

    if run.teacher:
        take(run.teacher, 1, EACH, "beats its teacher")
        take(run.teacher, -1, EACH, "loses to its teacher")
    if run.baseline and run.baseline != run.best:
        take(run.baseline, 1, MENDED, f"mends {run.baseline.label}")
    return [Choice(place, why) for place, why in found.items()]


def card(run: Run, number: int, choice: Choice, judged: Mapping[System, Judged]) -> ClipCard:
    first = next(iter(judged.values()))
    row, targets = int(first.rows[choice.place]), first.targets[choice.place]
    heard = [name for name, there in zip(run.table.classes, targets, strict=True) if there]
    said = {system: found.probabilities[choice.place] for system, found in judged.items()}
    return ClipCard(
        name=str(run.table.ids[row]),
        why=f"{run.best.label} {choice.why}",
        truth=", ".join(heard) or "nothing of what is tagged",
        mel=mel_picture(run, number, row),
        sound=sound_of(run.table, row, run.clip_seconds),
        said=said_table(run.table.classes, targets, said),
    )


def mel_picture(run: Run, number: int, row: int) -> Picture | None:
    settings = run.finest.settings
    if settings.front_end != "mel":
        return None
    mel = for_a_picture(run.features(run.finest_role, row))
    draw = partial(draw_mel, image=mel, settings=settings, seconds=run.clip_seconds)
    return picture(f"clip-{number}", draw, width=320, height=150, left=38, bottom=28, label="mel")


def said_table(
    classes: Sequence[str], targets: np.ndarray, said: Mapping[System, np.ndarray]
) -> Table:
    """What is heard first, then what any system said most."""
    most = np.max(list(said.values()), axis=0)
    order = np.lexsort((-most, ~targets))[:MOST_CLASSES]
    rows = [
        [
            Cell(f"{'● ' if targets[place] else ''}{classes[place]}"),
            *(Cell(f"{of[place]:.2f}", float(of[place])) for of in said.values()),
        ]
        for place in sorted(order, key=lambda place: (not targets[place], -most[place]))
    ]
    return Table(["", *(system.label for system in said)], rows, "", kind="bars")
