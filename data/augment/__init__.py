"""Disturbances of training clips: drawn once a clip in physical units, rendered on each grid.

Teacher and student thus hear the same disturbance, whatever their front ends.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import torch
from torch import Tensor

from config import Augment, ConfigError, Mel
from data.augment.impulse_responses import read_responses
from data.augment.params import AugmentParams, beta
from data.augment.rendering import (
    crop,
    hertz_to_mel,
    inside,
    is_power,
    log_unit,
    nepers,
    noise,
    restyled,
    roll,
    to_linear,
    to_log,
    warped,
)
from data.features.front_end import band_centres


class Augmentation:
    """[augment] for clips of `clip_seconds`; none of it depends on a front end until `render`.

    With `recording_seconds` what is rendered are recordings of that length, which each clip is cut
    out of at random. `responsive` (clips of the table,) says which may be heard through an impulse
    response; None: all. Raises ConfigError for crops that are longer than the clips, and clips that
    are longer than the recordings, UserError for impulse responses that cannot be read.
    """

    def __init__(
        self,
        settings: Augment,
        clip_seconds: float,
        max_hz: float,
        responsive: Tensor | None = None,
        recording_seconds: float = 0.0,
    ) -> None:
        if settings.crop_seconds > clip_seconds:
            raise ConfigError(
                "[augment] crop_seconds",
                f"found {settings.crop_seconds:g}, but a clip is {clip_seconds:g} s long",
            )
        if 0 < recording_seconds < clip_seconds:
            raise ConfigError(
                "[data] clip_seconds",
                f"found {clip_seconds:g}, but a recording is {recording_seconds:g} s long",
            )
        self.settings, self.clip_seconds = settings, clip_seconds
        self.heard_seconds = settings.crop_seconds or clip_seconds
        self.whole_seconds = recording_seconds or clip_seconds
        self.crops = bool(recording_seconds or settings.crop_seconds)
        self.max_mel = hertz_to_mel(max_hz)
        folder = settings.impulse_responses
        self.responses = read_responses(Path(folder)) if folder else None
        self.responsive = responsive

    def check(self, grid: Mel) -> None:
        """Raises ConfigError for a disturbance that the grid has no place for."""
        waveform = grid.front_end == "waveform"
        uses = {"frequency_mask_share": "mask", "warp_share": "warp", "mixstyle_alpha": "mix"}
        for name, what in uses.items():
            if waveform and getattr(self.settings, name):
                raise ConfigError(f"[augment] {name}", f"a raw waveform has no bands to {what}")
        if self.settings.noise_db and (waveform or grid.log == "none"):
            found = "FRONT_END = waveform" if waveform else "LOG = none"
            raise ConfigError("[augment] noise_db", f"is added to log-mels, found {found}")

    def sample(
        self, rows: Tensor, generator: torch.Generator, epoch: int | None = None
    ) -> AugmentParams:
        """For a batch of clips of the table, on the CPU, from the generator alone.

        `epoch`, from 0, may come before the mixup; None: the clips are of no one batch.

        Source: masks, Park et al. (SpecAugment), Interspeech 2019; the warp, the jitter of the mel
        bank's upper edge of Koutini et al. (PaSST), Interspeech 2022; the noise, Gong et al.
        (PSLA), TASLP 2021.
        """
        s, clips, nothing = self.settings, len(rows), torch.zeros(len(rows))

        def uniform() -> Tensor:
            return torch.rand(clips, generator=generator)

        def stretch(longest: float, whole: float) -> Tensor:
            length = uniform() * longest
            start = uniform() * (whole - length)
            return torch.stack([start, start + length], 1)

        mixes = s.mixup_alpha and (epoch is None or epoch >= s.mixup_start_epoch)
        weight = self.weights(clips, generator) if mixes else torch.ones(clips)
        mels = stretch(s.frequency_mask_share * self.max_mel, self.max_mel)
        return AugmentParams(
            partner=torch.arange(clips).roll(1),  # the batch is shuffled: its neighbour is any clip
            weight=weight,
            roll=(2 * uniform() - 1) * s.roll_seconds,
            gain=(2 * uniform() - 1) * s.gain_db,
            time_mask=stretch(min(s.time_mask_seconds, self.heard_seconds), self.heard_seconds),
            frequency_mask=700 * (torch.exp(mels / 1127) - 1),
            crop=uniform() * self.spare_seconds if self.crops else nothing,
            warp=(2 * uniform() - 1) * s.warp_share if s.warp_share else nothing,
            noise=uniform() * s.noise_db if s.noise_db else nothing,
            noise_seed=(
                torch.randint(2**31, (clips,), generator=generator)
                if s.noise_db
                else nothing.long()
            ),
            response=self.response(rows, generator),
            **self.style(clips, generator, 1 if epoch is not None else clips),
        )

    def weights(self, clips: int, generator: torch.Generator) -> Tensor:
        """Of the clips themselves in what they are mixed to: (B,), 1 where one is not mixed.

        Source: Zhang et al. (mixup), ICLR 2018; of a share of the clips, Gong et al. (PSLA).
        Differs: folded to [0.5, 1]. A weight below it means the two clips in the other order, and
        either of two neighbours in a shuffled batch is as likely to come first: each mixture is as
        likely as it was. But the clip that a row names, whose undisturbed self a teacher may hear,
        is thus the louder one.
        """
        weight = beta(self.settings.mixup_alpha, clips, generator)
        weight = torch.maximum(weight, 1 - weight)
        if self.settings.mixup_prob == 1:
            return weight
        mixed = torch.rand(clips, generator=generator) < self.settings.mixup_prob
        return torch.where(mixed, weight, 1.0)

    def response(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Which impulse response each clip of the table is heard through: (B,), -1 for none."""
        none = torch.full((len(rows),), -1)
        if self.responses is None:
            return none
        found = torch.randint(len(self.responses), (len(rows),), generator=generator)
        some = torch.rand(len(rows), generator=generator) < self.settings.impulse_response_prob
        if self.responsive is not None:
            some &= self.responsive[rows]
        return torch.where(some, found, none)

    def style(self, clips: int, generator: torch.Generator, batches: int) -> dict[str, Tensor]:
        """Whose style is mixed into each clip's own, and its own one's weight: 1 in all of a batch
        that is left alone. `batches` is 1, as published, or as many as the clips: each by itself.
        """
        if not self.settings.mixstyle_alpha:
            return {"style_partner": torch.arange(clips), "style_weight": torch.ones(clips)}
        some = torch.rand(batches, generator=generator) < self.settings.mixstyle_prob
        weight = beta(self.settings.mixstyle_alpha, clips, generator)
        return {
            "style_partner": torch.randperm(clips, generator=generator),
            "style_weight": torch.where(some, weight, 1.0),
        }

    @property
    def spare_seconds(self) -> float:
        """By how much what is rendered is longer than what is heard of it."""
        return self.whole_seconds - self.heard_seconds

    def steps(self, clip_steps: int) -> int:
        """How many steps of a time axis hold what is heard, of the `clip_steps` of a whole clip."""
        return math.ceil(clip_steps * self.heard_seconds / self.clip_seconds - 1e-6)

    def cropped(
        self, features: Tensor, drawn: AugmentParams, clip_steps: int
    ) -> tuple[Tensor, AugmentParams]:
        """The stretch of each clip that is heard and the same stretch of the clip mixed into it.

        Each of the starts that a grid has is equally likely, and within a step of what was drawn.
        """
        length = self.steps(clip_steps)
        starts = features.shape[2] - length + 1
        share = drawn.crop / max(self.spare_seconds, torch.finfo(torch.float32).tiny)
        start = (share * starts).long().clamp(max=starts - 1)
        own = crop(features[: len(start)], start, length)
        if not self.settings.mixup_alpha:
            return own, drawn
        partners = len(start) + torch.arange(len(start), device=start.device)
        others = crop(features[drawn.partner], start, length)
        return torch.cat([own, others]), dataclasses.replace(drawn, partner=partners)

    def render(
        self,
        features: Tensor,
        drawn: AugmentParams,
        grid: Mel,
        mean: Tensor | float = 0,
        clip_steps: int | None = None,
    ) -> Tensor:
        """Features (B, C, T, F) or (B, C, S), before they are normalised.

        Crop, mixture, impulse response and gain, below the logarithm; above it warp, roll, noise,
        masks, which hide the noise too, and style. `mean`, one or one a band, is what normalising
        makes 0 of. With crop_seconds fewer steps of time come out, and the rest is done to these;
        of recordings as many as a clip has that is evaluated, `clip_steps` (else: all that there
        are), where a centred frame at the border hears what follows in the recording and not its
        reflection. What a clip becomes is the same, bit for bit, whatever batch it is in, beside
        the clips that are mixed into it.

        Weights and gains are of amplitudes, as of a waveform: a power spectrum takes their squares.
        That is the mixture of two sounds that know nothing of one another; magnitudes add as if in
        phase, up to 3 dB louder where both clips are alike loud.
        """
        s = self.settings
        if self.crops:
            features, drawn = self.cropped(features, drawn, clip_steps or features.shape[2])
        if s.mixup_alpha or s.gain_db or self.responses:
            linear = to_linear(features, grid)
            if s.mixup_alpha:
                linear = drawn.mix(linear, power=is_power(grid))
            if self.responses:
                linear = self.responses.heard(linear, drawn.response, grid)
            factor = torch.exp(drawn.gain * nepers(grid))  # pow rounds by its place in the batch
            features = to_log(linear * factor.reshape(-1, *[1] * (linear.ndim - 1)), grid)
        if s.warp_share:
            features = warped(features, band_centres(grid).to(features), drawn.warp)
        # The steps of a grid are equal parts of what is heard, each meets its frame's window.
        per_second = features.shape[2] / self.heard_seconds
        seconds = torch.arange(features.shape[2], device=features.device) / per_second
        if s.roll_seconds:
            features = roll(features, (drawn.roll * per_second).round().long())
        if s.noise_db:
            level = drawn.noise * (nepers(grid) / log_unit(grid))
            field = noise(drawn.noise_seed, seconds, band_centres(grid).to(features))
            features = field.mul_(level[:, None, None, None]) + features
        if s.time_mask_seconds:
            hidden = inside(seconds, drawn.time_mask)
            hidden = hidden.reshape(len(features), 1, -1, *[1] * (features.ndim - 3))
            features = torch.where(hidden, self.filling(features, grid, mean), features)
        if s.frequency_mask_share:
            hidden = inside(band_centres(grid).to(features), drawn.frequency_mask)[:, None, None, :]
            features = torch.where(hidden, self.filling(features, grid, mean), features)
        if s.mixstyle_alpha:
            features = restyled(features, drawn.style_partner, drawn.style_weight)
        return features

    def filling(self, features: Tensor, grid: Mel, mean: Tensor | float) -> Tensor | float:
        """What takes the place of what is masked."""
        if self.settings.mask_with == "silence":
            return to_log(torch.zeros((), device=features.device), grid)
        return mean if self.settings.mask_with == "mean" else 0.0
