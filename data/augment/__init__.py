"""Disturbances of training clips: drawn once a clip in physical units, rendered on each grid.

Teacher and student thus hear the same disturbance, whatever their front ends.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from config import Augment, ConfigError, Mel
from data.front_end import band_centres


@dataclasses.dataclass(frozen=True, slots=True)
class Drawn:
    """One batch's disturbances, a row a clip."""

    partner: Tensor  # (B,) position, among the features, of the clip that is mixed in
    weight: Tensor  # (B,) share of the clip itself, in [0.5, 1]
    roll: Tensor  # (B,) s
    gain: Tensor  # (B,) dB
    time_mask: Tensor  # (B, 2) s, from and to
    frequency_mask: Tensor  # (B, 2) Hz, from and to
    crop: Tensor  # (B,) s, where the stretch that is heard starts

    def to(self, device: torch.device) -> Drawn:
        moved = {f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)}
        return Drawn(**moved)

    def __getitem__(self, rows: Tensor) -> Drawn:
        return Drawn(**{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)})

    def mix(self, values: Tensor) -> Tensor:
        """weight * own + (1 - weight) * partner's, for (B, ...) values.

        More than B values: those behind the first B are there to be mixed in.
        """
        weight = self.weight.reshape(-1, *[1] * (values.ndim - 1))
        return weight * values[: len(self.weight)] + (1 - weight) * values[self.partner]


class Augmentation:
    """[augment] for clips of `clip_seconds`; none of it depends on a front end until `render`.

    Raises ConfigError for crops that are longer than the clips.
    """

    def __init__(self, settings: Augment, clip_seconds: float, max_hz: float) -> None:
        if settings.crop_seconds > clip_seconds:
            raise ConfigError(
                "[augment] crop_seconds",
                f"found {settings.crop_seconds:g}, but a clip is {clip_seconds:g} s long",
            )
        self.settings, self.clip_seconds = settings, clip_seconds
        self.heard_seconds = settings.crop_seconds or clip_seconds
        self.max_mel = hertz_to_mel(max_hz)

    def draw(self, clips: int, generator: torch.Generator, epoch: int | None = None) -> Drawn:
        """On the CPU, from the generator alone. `epoch`, from 0, may come before the mixup."""
        s = self.settings

        def uniform() -> Tensor:
            return torch.rand(clips, generator=generator)

        def stretch(longest: float, whole: float) -> Tensor:
            length = uniform() * longest
            start = uniform() * (whole - length)
            return torch.stack([start, start + length], 1)

        mixes = s.mixup and (epoch is None or epoch >= s.mixup_from_epoch)
        weight = beta(s.mixup, clips, generator) if mixes else torch.ones(clips)
        mels = stretch(s.frequency_mask_share * self.max_mel, self.max_mel)
        return Drawn(
            partner=torch.arange(clips).roll(1),  # the batch is shuffled: its neighbour is any clip
            weight=torch.maximum(weight, 1 - weight),
            roll=(2 * uniform() - 1) * s.roll_seconds,
            gain=(2 * uniform() - 1) * s.gain_db,
            time_mask=stretch(min(s.time_mask_seconds, self.heard_seconds), self.heard_seconds),
            frequency_mask=700 * (torch.exp(mels / 1127) - 1),
            crop=uniform() * self.spare_seconds if s.crop_seconds else torch.zeros(clips),
        )

    @property
    def spare_seconds(self) -> float:
        """By how much a clip is longer than what is heard of it."""
        return self.clip_seconds - self.heard_seconds

    def steps(self, clip_steps: int) -> int:
        """How many steps of a time axis hold what is heard, of the `clip_steps` of a whole clip."""
        return math.ceil(clip_steps * self.heard_seconds / self.clip_seconds - 1e-6)

    def cropped(self, features: Tensor, drawn: Drawn) -> tuple[Tensor, Drawn]:
        """The stretch of each clip that is heard and the same stretch of the clip mixed into it.

        Each of the starts that a grid has is equally likely, and within a step of what was drawn.
        """
        length = self.steps(features.shape[2])
        starts = features.shape[2] - length + 1
        share = drawn.crop / max(self.spare_seconds, torch.finfo(torch.float32).tiny)
        start = (share * starts).long().clamp(max=starts - 1)
        own = crop(features[: len(start)], start, length)
        if not self.settings.mixup:
            return own, drawn
        partners = len(start) + torch.arange(len(start), device=start.device)
        others = crop(features[drawn.partner], start, length)
        return torch.cat([own, others]), dataclasses.replace(drawn, partner=partners)

    def render(self, features: Tensor, drawn: Drawn, grid: Mel) -> Tensor:
        """Features (B, C, T, F) or (B, C, S). Mixing and gain act before the logarithm.

        With crop_seconds fewer steps of time come out, and the rest is done to these. What a clip
        becomes is the same, bit for bit, whatever batch it is in.
        """
        s = self.settings
        if grid.front_end == "waveform" and s.frequency_mask_share:
            raise ConfigError(
                "[augment] frequency_mask_share", "a raw waveform has no bands to mask"
            )
        if s.crop_seconds:
            features, drawn = self.cropped(features, drawn)
        per_second = features.shape[2] / self.heard_seconds
        if s.mixup or s.gain_db:
            linear = to_linear(features, grid)
            if s.mixup:
                linear = drawn.mix(linear)
            nepers = math.log(10) / (10 if is_power(grid) else 20)
            factor = torch.exp(drawn.gain * nepers)  # pow rounds by its place in the batch
            features = to_log(linear * factor.reshape(-1, *[1] * (linear.ndim - 1)), grid)
        if s.roll_seconds:
            features = roll(features, (drawn.roll * per_second).round().long())
        silence = to_log(torch.zeros((), device=features.device), grid)
        times = torch.arange(features.shape[2], device=features.device) / per_second
        if s.time_mask_seconds:
            hidden = inside(times, drawn.time_mask)
            hidden = hidden.reshape(len(features), 1, -1, *[1] * (features.ndim - 3))
            features = torch.where(hidden, silence, features)
        if s.frequency_mask_share:
            hidden = inside(band_centres(grid).to(features), drawn.frequency_mask)
            features = torch.where(hidden[:, None, None, :], silence, features)
        return features


def inside(points: Tensor, stretch: Tensor) -> Tensor:
    """(N,) points and (B, 2) stretches -> (B, N): whether the point lies in the stretch."""
    return (points >= stretch[:, :1]) & (points < stretch[:, 1:])


def crop(features: Tensor, start: Tensor, length: int) -> Tensor:
    """`length` steps of each clip along its time axis, from its own start (B,)."""
    steps = start[:, None] + torch.arange(length, device=features.device)
    steps = steps.reshape(len(features), 1, length, *[1] * (features.ndim - 3))
    return features.gather(2, steps.expand(-1, features.shape[1], -1, *features.shape[3:]))


def roll(features: Tensor, shift: Tensor) -> Tensor:
    """Circular shift of each clip along its time axis by its own number of steps."""
    steps = torch.arange(features.shape[2], device=features.device)
    source = (steps - shift[:, None]) % features.shape[2]
    source = source.reshape(len(features), 1, -1, *[1] * (features.ndim - 3))
    return features.gather(2, source.expand_as(features))


def beta(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """Beta(alpha, alpha) as one gamma's share of two; torch.distributions takes no generator."""
    first, second = torch._standard_gamma(torch.full((2, count), alpha), generator=generator)
    return first / (first + second).clamp_min(torch.finfo(torch.float32).tiny)


def hertz_to_mel(hertz: float) -> float:
    return 1127 * math.log1p(hertz / 700)


def is_power(grid: Mel) -> bool:
    return grid.front_end == "mel" and grid.spectrum == "power"


def to_linear(features: Tensor, grid: Mel) -> Tensor:
    """Undo the logarithm of the front end."""
    if grid.front_end == "waveform" or grid.log == "none":
        return features
    base = {"natural": 1.0, "log10": math.log(10), "decibel": math.log(10) / 10}[grid.log]
    return (torch.exp(features * base) - grid.log_offset).clamp_min(0)


def to_log(linear: Tensor, grid: Mel) -> Tensor:
    if grid.front_end == "waveform" or grid.log == "none":
        return linear
    base = {"natural": 1.0, "log10": math.log(10), "decibel": math.log(10) / 10}[grid.log]
    return torch.log(linear + max(grid.log_offset, 1e-10)) / base
