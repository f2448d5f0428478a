"""Feature maps of teacher and students over the mel of one clip."""

from __future__ import annotations

from functools import partial

import torch

from models.output import Output
from report.clip_loss import clip_losses
from report.drawing import picture
from report.run import Run, System
from report.section import Absent, Picture, Pictures, Section, Text
from report.spectrogram import downsampled, draw_mel, on_mel, overlaid
from report.trained import trained

WIDTH, HEIGHT = 196, 150  # px


def section(run: Run) -> Section:
    drawn = run.pictured
    if any(run.config.mel_of(system.role).front_end != "mel" for system in drawn):
        raise Absent("models of raw waveforms have no feature maps over a mel")
    row, why = chosen_clip(run)
    blocks: list[Text | Pictures] = [Text(caption(run, row, why))]
    for system in drawn:
        try:
            pictures = map_pictures(run, system, row)
            blocks.append(Pictures(pictures, "", [system], shrink=0.86))
        except Absent as error:
            blocks.append(Text(f"{system.label}: {error}."))
    return Section("Feature maps", blocks)


def chosen_clip(run: Run) -> tuple[int, str]:
    """The test clip whose loss distillation reduced most; without distillation, of lowest loss."""
    seed, fold = run.first
    if systems := run.baseline_and_distilled:
        before, after = (run.predictions(system, seed, [fold]) for system in systems)
        gained = clip_losses(before, run.task) - clip_losses(after, run.task)
        return before.rows[gained.argmax()], "whose loss distillation reduced most"
    predictions = run.predictions(run.pictured[0], seed, [fold])
    lowest = clip_losses(predictions, run.task).argmin()
    return predictions.rows[lowest], "of the lowest loss"


def caption(run: Run, row: int, why: str) -> str:
    targets = run.table.targets[[row]][0]
    labels = [name for name, present in zip(run.table.classes, targets, strict=True) if present]
    return (
        f"Clip {run.table.ids[row]} ({', '.join(labels) or 'no tag'}), {why}; "
        f"{run.first_in_words}. On the left the input features of the system, then the mean "
        "magnitude over the channels of each of its feature maps, shallow to deep, over the mel of "
        f"the {run.finest_role}: yellow where it is highest, grey where it is lowest. Titles give "
        "channels × frames × bands of the map."
    )


@torch.inference_mode()
def map_pictures(run: Run, system: System, row: int) -> list[Picture]:
    model, features = trained(run, system)
    output: Output = model(features[torch.tensor([row])])
    own, finest = run.cache(system.role).settings, run.finest.settings
    inputs, mel = (downsampled(run.features(role, row)) for role in (system.role, run.finest_role))
    name = f"activations-{system.look}"
    panel = partial(picture, width=WIDTH, height=HEIGHT, left=38, bottom=28)
    draw = partial(draw_mel, image=inputs, settings=own, seconds=run.clip_seconds)
    pictures = [panel(f"{name}-mel", draw, title="input")]
    for depth, one in enumerate(output.maps, 1):
        if one.ndim != 4:
            shape = " × ".join(map(str, one.shape[1:]))
            raise Absent(f"a feature map of {shape} has no place on the mel; it needs C × T × F")
        image = overlaid(mel, on_mel(one[0].numpy(), own, finest, len(mel)))
        draw = partial(draw_mel, image=image, settings=finest, seconds=run.clip_seconds)
        title = f"{depth}: {' × '.join(map(str, one.shape[1:]))}"
        pictures.append(panel(f"{name}-{depth}", draw, title=title))
    return pictures
