"""Where the models look: the maps of teacher and students over the mel of one clip."""

from __future__ import annotations

from functools import partial

import torch

from models.output import Output
from report.clip_loss import clip_losses
from report.drawing import picture
from report.run import Run, System
from report.section import Absent, Picture, Pictures, Section, Text
from report.spectrogram import draw_mel, for_a_picture, on_mel, overlaid
from report.trained import trained

WIDTH, HEIGHT = 196, 150  # px


def section(run: Run) -> Section:
    drawn = run.pictured
    if any(run.config.mel_of(system.role).front_end != "mel" for system in drawn):
        raise Absent("a model of raw waveforms has no maps over a mel")
    row, why = telling_clip(run)
    blocks: list[Text | Pictures] = [Text(what_is_shown(run, row, why))]
    for system in drawn:
        try:
            pictures = map_pictures(run, system, row)
            blocks.append(Pictures(pictures, "", [system], shrink=0.86))
        except Absent as error:
            blocks.append(Text(f"{system.label}: {error}."))
    return Section("Where the models look", blocks)


def telling_clip(run: Run) -> tuple[int, str]:
    """The reported clip that distillation helped most; without one, that the model knows best."""
    seed, fold = run.first
    if run.baseline and run.best != run.baseline:
        before, after = (run.judged(system, seed, [fold]) for system in (run.baseline, run.best))
        gained = clip_losses(before, run.task) - clip_losses(after, run.task)
        return before.rows[gained.argmax()], "the one that distillation helped most"
    judged = run.judged(run.pictured[0], seed, [fold])
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


@torch.inference_mode()
def map_pictures(run: Run, system: System, row: int) -> list[Picture]:
    model, view = trained(run, system)
    found: Output = model(view[torch.tensor([row])])
    own, finest = run.cache(system.role).settings, run.finest.settings
    heard, mel = (for_a_picture(run.features(role, row)) for role in (system.role, run.finest_role))
    name = f"activations-{system.look}"
    size = {"width": WIDTH, "height": HEIGHT, "left": 38, "bottom": 28}
    draw = partial(draw_mel, image=heard, settings=own, seconds=run.clip_seconds)
    pictures = [picture(f"{name}-mel", draw, title="hears", **size)]
    for depth, one in enumerate(found.maps, 1):
        if one.ndim != 4:
            shape = " × ".join(map(str, one.shape[1:]))
            raise Absent(f"a map of {shape} has no place on the mel, which wants C × T × F")
        image = overlaid(mel, on_mel(one[0].numpy(), own, finest, len(mel)))
        draw = partial(draw_mel, image=image, settings=finest, seconds=run.clip_seconds)
        title = f"{depth}: {' × '.join(map(str, one.shape[1:]))}"
        pictures.append(picture(f"{name}-{depth}", draw, title=title, **size))
    return pictures
