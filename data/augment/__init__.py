"""Augmentation of training clips: sampled per clip in physical units, rendered per front end.

Teacher and student thus get the same augmentation, whatever their front ends.
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
    freq_mixstyle,
    hertz_to_mel,
    inside,
    is_power,
    log_unit,
    nepers,
    noise,
    roll,
    to_linear,
    to_log,
    warp_frequency,
)
from data.features.front_end import band_centres


class Augmentation:
    """[augment] for clips of `clip_seconds`; nothing depends on a front end before `render`.

    With `recording_seconds` the inputs are recordings of that length, and each clip is a random
    crop of one. `response_clips` (clips of the table,) is a mask of the clips that may get an
    impulse response; None: all. Raises ConfigError for crops that are longer than the clips and
    clips that are longer than the recordings, UserError for unreadable impulse responses.
    """

    def __init__(
        self,
        settings: Augment,
        clip_seconds: float,
        max_hz: float,
        response_clips: Tensor | None = None,
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
        self.output_seconds = settings.crop_seconds or clip_seconds
        self.input_seconds = recording_seconds or clip_seconds
        self.crops = bool(recording_seconds or settings.crop_seconds)
        self.max_mel = hertz_to_mel(max_hz)
        folder = settings.impulse_responses
        self.responses = read_responses(Path(folder)) if folder else None
        self.response_clips = response_clips

    def check(self, grid: Mel) -> None:
        """Raises ConfigError for an augmentation that the front end does not support."""
        waveform = grid.front_end == "waveform"
        uses = {"frequency_mask_share": "mask", "warp_share": "warp", "mixstyle_alpha": "mix"}
        for name, what in uses.items():
            if waveform and getattr(self.settings, name):
                raise ConfigError(f"[augment] {name}", f"a raw waveform has no bands to {what}")
        if waveform or grid.log == "none":
            found = "FRONT_END = waveform" if waveform else "LOG = none"
            if self.settings.noise_db:
                raise ConfigError("[augment] noise_db", f"is added to log-mels, found {found}")
            if self.settings.mixup_domain == "log":
                raise ConfigError("[augment] mixup_domain", f"log requires log-mels, found {found}")
        elif grid.padding == "log_zero":
            amplitudes = ["wave_mixup_alpha", "gain_db", "impulse_responses"]
            if self.settings.mixup_domain == "linear":
                amplitudes.append("mixup_alpha")
            for name in amplitudes:
                if getattr(self.settings, name):
                    found = "is of amplitudes: expected [mel] PADDING = signal, found log_zero"
                    raise ConfigError(f"[augment] {name}", found)

    def sample(
        self, rows: Tensor, generator: torch.Generator, epoch: int | None = None
    ) -> AugmentParams:
        """For a batch of clips of the table, on the CPU, from the generator only.

        `epoch`, from 0, may precede the start of mixup; None: the clips belong to no batch.

        Source: masks, Park et al. (SpecAugment), Interspeech 2019; the warp, the jitter of the mel
        bank's upper edge of Koutini et al. (PaSST), Interspeech 2022; the noise, Gong et al.
        (PSLA), TASLP 2021; the first mixup, the public code of PaSST on AudioSet.
        Differs: the partner of the first mixup is of the batch, there of all training clips; the
        mean of a waveform, which a mel bank from 0 Hz with pre-emphasis hardly passes, is kept; the
        other augmentations are of the mixture.
        """
        s, clips, nothing = self.settings, len(rows), torch.zeros(len(rows))

        def uniform() -> Tensor:
            return torch.rand(clips, generator=generator)

        def interval(longest: float, total: float) -> Tensor:
            length = uniform() * longest
            start = uniform() * (total - length)
            return torch.stack([start, start + length], 1)

        def weights(alpha: float, prob: float) -> Tensor:
            mixes = alpha and (epoch is None or epoch >= s.mixup_start_epoch)
            return sample_weights(alpha, prob, clips, generator) if mixes else torch.ones(clips)

        weight = weights(s.mixup_alpha, s.mixup_prob)
        mels = interval(s.frequency_mask_share * self.max_mel, self.max_mel)
        return AugmentParams(
            partner=torch.arange(clips).roll(1),  # a random clip of the shuffled batch
            weight=weight,
            roll=(2 * uniform() - 1) * s.roll_seconds,
            gain=(2 * uniform() - 1) * s.gain_db,
            time_mask=interval(min(s.time_mask_seconds, self.output_seconds), self.output_seconds),
            frequency_mask=700 * (torch.exp(mels / 1127) - 1),
            crop=uniform() * self.spare_seconds if self.crops else nothing,
            warp=(2 * uniform() - 1) * s.warp_share if s.warp_share else nothing,
            noise=uniform() * s.noise_db if s.noise_db else nothing,
            noise_seed=(
                torch.randint(2**31, (clips,), generator=generator)
                if s.noise_db
                else nothing.long()
            ),
            response=self.sample_response(rows, generator),
            **self.sample_style(clips, generator, 1 if epoch is not None else clips),
            wave_partner=torch.arange(clips).roll(2 if clips > 2 else 1),  # not the other partner
            wave_weight=weights(s.wave_mixup_alpha, s.wave_mixup_prob),
        )

    def sample_response(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The impulse response of each clip of the table: (B,), -1 for none."""
        none = torch.full((len(rows),), -1)
        if self.responses is None:
            return none
        found = torch.randint(len(self.responses), (len(rows),), generator=generator)
        some = torch.rand(len(rows), generator=generator) < self.settings.impulse_response_prob
        if self.response_clips is not None:
            some &= self.response_clips[rows]
        return torch.where(some, found, none)

    def sample_style(
        self, clips: int, generator: torch.Generator, batches: int
    ) -> dict[str, Tensor]:
        """MixStyle partners and weights of the clips' own styles: 1 in a batch that is not mixed.

        `batches` is 1, as published, or the number of clips: each is then decided by itself.
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
        """How much longer the input is than its crop."""
        return self.input_seconds - self.output_seconds

    def steps(self, clip_steps: int) -> int:
        """The time steps of a crop, where a full clip has `clip_steps`."""
        return math.ceil(clip_steps * self.output_seconds / self.clip_seconds - 1e-6)

    def cropped(
        self, features: Tensor, params: AugmentParams, clip_steps: int
    ) -> tuple[Tensor, AugmentParams]:
        """The crop of each clip, followed by the same crop of the clips that are mixed in.

        Each start on the grid is equally likely, and within one step of the sampled start.
        """
        length = self.steps(clip_steps)
        starts = features.shape[2] - length + 1
        share = params.crop / max(self.spare_seconds, torch.finfo(torch.float32).tiny)
        start = (share * starts).long().clamp(max=starts - 1)
        clips = torch.arange(len(start), device=start.device)
        sources = [clips]
        if self.settings.mixup_alpha:
            sources.append(params.partner)
            params = dataclasses.replace(params, partner=len(start) + clips)
        if self.settings.wave_mixup_alpha:
            mixed = torch.cat(sources)
            sources += [params.wave_partner[some] for some in sources]
            params = dataclasses.replace(
                params,
                wave_partner=len(mixed) + torch.arange(len(mixed), device=start.device),
                wave_weight=params.wave_weight[mixed],
            )
        return torch.cat([crop(features[some], start, length) for some in sources]), params

    def render(
        self,
        features: Tensor,
        params: AugmentParams,
        grid: Mel,
        mean: Tensor | float = 0,
        clip_steps: int | None = None,
    ) -> Tensor:
        """Features (B, C, T, F) or (B, C, S), before they are normalised.

        Before the logarithm: crop, the first mixup, mixup, impulse response and gain; after it:
        warp, roll, noise, masks (which hide the noise too) and MixStyle. `mean`, one value or one
        per band, is the value that normalisation maps to 0. With crop_seconds the output has fewer
        time steps. For recordings it has those of an evaluated clip, `clip_steps` (default: all); a
        centred frame at the border then contains what follows in the recording instead of its
        reflection. Apart from its mixup and MixStyle partners, a clip's output is bit-identical in
        every batch.

        Weights and gains are of amplitudes, as of a waveform: a power spectrum is multiplied by
        their squares. That is the mixture of two uncorrelated sounds; magnitudes add as if in
        phase, up to 3 dB louder where both clips have the same level. With mixup_domain = log the
        weights of mixup are those of log-mels, before the gain.
        """
        s = self.settings
        if self.crops:
            features, params = self.cropped(features, params, clip_steps or features.shape[2])
        if s.wave_mixup_alpha:
            linear = params.mix_waves(to_linear(features, grid), power=is_power(grid))
            features = to_log(linear, grid)
        mixes_linear = s.mixup_alpha and s.mixup_domain == "linear"
        if s.mixup_alpha and not mixes_linear:
            features = params.mix(features)
        if mixes_linear or s.gain_db or self.responses:
            linear = to_linear(features, grid)
            if mixes_linear:
                linear = params.mix(linear, power=is_power(grid))
            if self.responses:
                linear = self.responses.apply(linear, params.response, grid)
            factor = torch.exp(
                params.gain * nepers(grid)
            )  # pow rounds differently by position in the batch
            features = to_log(linear * factor.reshape(-1, *[1] * (linear.ndim - 1)), grid)
        if s.warp_share:
            features = warp_frequency(features, band_centres(grid).to(features), params.warp)
        # The time steps are equal parts of the crop, each within its frame's window.
        per_second = features.shape[2] / self.output_seconds
        seconds = torch.arange(features.shape[2], device=features.device) / per_second
        if s.roll_seconds:
            features = roll(features, (params.roll * per_second).round().long())
        if s.noise_db:
            level = params.noise * (nepers(grid) / log_unit(grid))
            field = noise(params.noise_seed, seconds, band_centres(grid).to(features))
            features = field.mul_(level[:, None, None, None]) + features
        if s.time_mask_seconds:
            hidden = inside(seconds, params.time_mask)
            hidden = hidden.reshape(len(features), 1, -1, *[1] * (features.ndim - 3))
            features = torch.where(hidden, self.mask_value(features, grid, mean), features)
        if s.frequency_mask_share:
            hidden = inside(band_centres(grid).to(features), params.frequency_mask)[
                :, None, None, :
            ]
            features = torch.where(hidden, self.mask_value(features, grid, mean), features)
        if s.mixstyle_alpha:
            features = freq_mixstyle(features, params.style_partner, params.style_weight)
        return features

    def mask_value(self, features: Tensor, grid: Mel, mean: Tensor | float) -> Tensor | float:
        """The value of masked features."""
        if self.settings.mask_with == "silence":
            return to_log(torch.zeros((), device=features.device), grid)
        return mean if self.settings.mask_with == "mean" else 0.0


def sample_weights(alpha: float, prob: float, clips: int, generator: torch.Generator) -> Tensor:
    """Mixup weights of the clips themselves: (B,), 1 where a clip is not mixed.

    Source: Zhang et al. (mixup), ICLR 2018; of a share of the clips, Gong et al. (PSLA).
    Differs: folded to [0.5, 1]. A weight below 0.5 means the two clips in the other order, and both
    orders are equally likely in a shuffled batch: the distribution of mixtures is the same. But the
    clip of the row, which a teacher may get without augmentation, is thus the dominant one.
    """
    weight = beta(alpha, clips, generator)
    weight = torch.maximum(weight, 1 - weight)
    if prob == 1:
        return weight
    mixed = torch.rand(clips, generator=generator) < prob
    return torch.where(mixed, weight, 1.0)
