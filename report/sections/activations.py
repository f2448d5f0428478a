"""Where the models look: the maps of teacher and students over the mel of one clip."""

from __future__ import annotations

import numpy as np

from models.output import Output
from report.clip_loss import clip_losses
from report.drawing import picture
from report.outputs import outputs
from report.run import Run, System
from report.section import Absent, Picture, Pictures, Section, Text
from report.spectrogram import draw_mel, for_a_picture, on_mel, overlaid

WIDTH, HEIGHT = 196, 150  # px


def section(run: Run) -> Section:
    drawn = run.pictured
    if not drawn:
        raise Absent("neither a teacher nor a student is there")
    if any(run.config.mel_of(system.role).front_end != "mel" for system in drawn):
        raise Absent("a model of raw waveforms has no maps over a mel")
    row, why = telling_clip(run)
    blocks: list[Text | Pictures] = [Text(what_is_shown(run, row, why))]
    for system in drawn:
        blocks.append(Pictures(map_pictures(run, system, row), "", [system], shrink=0.86))
    return Section("activations", "Where the models look", blocks)


def telling_clip(run: Run) -> tuple[int, str]:
    """The reported clip that distillation helped most; without one, that the model knows best."""
    seed, fold = run.first["seed"], [run.first["fold"]]
    if run.baseline and run.best != run.baseline:
        before, after = (run.judged(system, seed, fold) for system in (run.baseline, run.best))
        gained = clip_losses(before, run.task) - clip_losses(after, run.task)
        return before.rows[gained.argmax()], "the one that distillation helped most"
    judged = run.judged(run.pictured[0], seed, fold)
    return judged.rows[clip_losses(judged, run.task).argmin()], "the one that is known best"


def what_is_shown(run: Run, row: int, why: str) -> str:
    targets = run.table.targets[[row]][0]
    heard = [name for name, there in zip(run.table.classes, targets, strict=True) if there]
    return (
        f"Clip {run.table.ids[row]} ({', '.join(heard) or 'no tag'}), {why}; {run.first_in_words}. "
        "On the left what the system hears, then the mean magnitude over the channels of each of "
        f"its maps, shallow to deep, over the mel of the {run.finest_role}: yellow where it reacts "
        "most, grey where it does not. The figures are channels × frames × bands of the map."
    )


def map_pictures(run: Run, system: System, row: int) -> list[Picture]:
    found: Output = outputs(run, system, np.array([row]))
    own, finest = run.cache(system.role).settings, run.finest.settings
    heard, mel = (for_a_picture(run.features(role, row)) for role in (system.role, run.finest_role))
    name = f"activations-{system.look}"

    def draw_heard(axes):
        draw_mel(axes, heard, own, run.clip_seconds)

    size = {"width": WIDTH, "height": HEIGHT, "left": 38, "bottom": 28}
    pictures = [picture(f"{name}-mel", draw_heard, title="hears", **size)]
    maps = [one[0].numpy() for one in found.maps if one.ndim == 4]
    for depth, one in enumerate(maps, 1):
        image = overlaid(mel, on_mel(one, own, finest, len(mel)))

        def draw(axes, image=image):
            draw_mel(axes, image, finest, run.clip_seconds)

        title = f"{depth}: {one.shape[0]} × {one.shape[1]} × {one.shape[2]}"
        pictures.append(picture(f"{name}-{depth}", draw, title=title, **size))
    return pictures
