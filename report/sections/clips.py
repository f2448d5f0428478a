"""The clips on which the student and its teacher differ most, to look at and listen to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from report.clip_loss import clip_losses
from report.drawing import picture
from report.run import Predictions, Run, System
from report.section import Absent, Cell, ClipCard, Clips, Picture, Section, Table, Text
from report.sound import sound_of
from report.spectrogram import downsampled, draw_mel

EACH = 3  # clips on which it beats its teacher, and on which it loses to it
FIXED = 2  # clips on which it beats the student trained with labels only
MAX_CLASSES = 8  # in a clip's table: its labels, then the most probable


class ChosenClip(NamedTuple):
    place: int  # among the test clips
    why: str


def section(run: Run) -> Section:
    student = run.distilled
    if not student:
        raise Absent("no student has been trained yet")
    seed = run.seeds[0]
    predictions = {system: run.predictions(system, seed) for system in run.pictured}
    losses = {system: clip_losses(found, run.task) for system, found in predictions.items()}
    chosen = choices(run, student, losses)
    if not chosen:
        raise Absent("there is nothing to compare the student with")
    cards = [card(run, number, choice, predictions) for number, choice in enumerate(chosen)]
    text = (
        f"The test clips whose cross-entropy differs most between {student.label} and other "
        f"systems; seed {seed}. Bars are probabilities, dots mark the labels."
    )
    return Section("Clips to listen to", [Text(text), Clips(cards)])


def choices(run: Run, student: System, losses: Mapping[System, np.ndarray]) -> list[ChosenClip]:
    """The clips with the largest differences, each once, the largest first."""
    found: dict[int, str] = {}

    def take(other: System, sign: int, most: int, why: str) -> None:
        ahead = sign * (losses[other] - losses[student])
        fresh = [place for place in (-ahead).argsort(kind="stable").tolist() if place not in found]
        for place in fresh[:most]:
            if ahead[place] > 0:
                own, others = losses[student][place], losses[other][place]
                found[place] = f"{student.label} {why}: {own:.2f} instead of {others:.2f} nats"

    if run.teacher:
        take(run.teacher, 1, EACH, "beats its teacher")
        take(run.teacher, -1, EACH, "loses to its teacher")
    if run.baseline and run.baseline != student:
        take(run.baseline, 1, FIXED, f"improves on {run.baseline.label}")
    return [ChosenClip(place, why) for place, why in found.items()]


def card(
    run: Run, number: int, choice: ChosenClip, predictions: Mapping[System, Predictions]
) -> ClipCard:
    first = next(iter(predictions.values()))
    row, targets = int(first.rows[choice.place]), first.targets[choice.place]
    labels = [name for name, present in zip(run.table.classes, targets, strict=True) if present]
    probabilities = {
        system: found.probabilities[choice.place] for system, found in predictions.items()
    }
    return ClipCard(
        name=str(run.table.ids[row]),
        why=choice.why,
        labels=", ".join(labels) or "no tag",
        mel=mel_picture(run, number, row),
        sound=sound_of(run.table, row, run.clip_seconds),
        probabilities=probability_table(run.table.classes, targets, probabilities),
    )


def mel_picture(run: Run, number: int, row: int) -> Picture | None:
    settings = run.finest.settings
    if settings.front_end != "mel":
        return None
    mel = downsampled(run.features(run.finest_role, row))
    draw = partial(draw_mel, image=mel, settings=settings, seconds=run.clip_seconds)
    return picture(f"clip-{number}", draw, width=320, height=150, left=38, bottom=28, label="mel")


def probability_table(
    classes: Sequence[str], targets: np.ndarray, probabilities: Mapping[System, np.ndarray]
) -> Table:
    """The labels first, then the classes with the highest probability of any system."""
    most = np.max(list(probabilities.values()), axis=0)
    order = np.lexsort((-most, ~targets))[:MAX_CLASSES]
    rows = [
        [
            Cell(f"{'● ' if targets[place] else ''}{classes[place]}"),
            *(Cell(f"{of[place]:.2f}", float(of[place])) for of in probabilities.values()),
        ]
        for place in sorted(order, key=lambda place: (not targets[place], -most[place]))
    ]
    return Table(["", *(system.label for system in probabilities)], rows, "", kind="bars")
