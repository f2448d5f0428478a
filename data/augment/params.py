"""The augmentation parameters of a batch, in seconds, hertz and decibels."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class AugmentParams:
    """The augmentation parameters of one batch, one row per clip."""

    partner: Tensor  # (B,) position, among the M clips, of the mixup partner
    weight: Tensor  # (B,) share of the clip itself, in [0.5, 1]
    roll: Tensor  # (B,) s
    gain: Tensor  # (B,) dB
    time_mask: Tensor  # (B, 2) s, from and to
    frequency_mask: Tensor  # (B, 2) Hz, from and to
    crop: Tensor  # (B,) s, start of the crop
    warp: Tensor  # (B,) relative scaling of the mel axis
    noise: Tensor  # (B,) dB, of the loudest cell
    noise_seed: Tensor  # (B,) integers below 2^31
    response: Tensor  # (B,) position of an impulse response; -1: none
    style_partner: Tensor  # (N,) position, among the B clips, of the MixStyle partner
    style_weight: Tensor  # (N,) share of the own style; where N < B, the rest are only partners
    wave_partner: Tensor  # (M,) position, among the features, of the partner of the first mixup
    wave_weight: Tensor  # (M,) share of the clip itself in it; where B < M, the rest are partners

    def to(self, device: torch.device) -> AugmentParams:
        moved = {f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)}
        return AugmentParams(**moved)

    def __getitem__(self, rows: Tensor) -> AugmentParams:
        return AugmentParams(
            **{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)}
        )

    def take(self, rows: Tensor) -> tuple[Tensor, AugmentParams]:
        """The positions of the clips that these clips are rendered from, and their parameters.

        First the clips themselves, then their MixStyle partners, then the mixup partners of both,
        then the partners of all these in the first mixup; no partners where nothing is mixed.
        Shapes: (N,) -> (N,), (2N,), (4N,) or (8N,).
        """
        rendered = rows
        if (self.style_weight[rows] < 1).any():
            rendered = torch.cat([rows, self.style_partner[rows]])
        params, mixed = self[rendered], rendered
        if (params.weight < 1).any():
            mixed = torch.cat([rendered, params.partner])
        features, wave_weight = mixed, self.wave_weight[mixed]
        if (wave_weight < 1).any():
            features = torch.cat([mixed, self.wave_partner[mixed]])
        return features, dataclasses.replace(
            params,
            partner=torch.arange(len(mixed))[-len(rendered) :],
            style_partner=torch.arange(len(rendered))[-len(rows) :],
            style_weight=self.style_weight[rows],
            wave_partner=torch.arange(len(features))[-len(mixed) :],
            wave_weight=wave_weight,
        )

    @property
    def mixes(self) -> bool:
        """Whether any clip is mixed with another."""
        return bool((self.weight < 1).any() or (self.wave_weight < 1).any())

    def mix_waves(self, values: Tensor, power: bool = False) -> Tensor:
        """The first mixup: as `mix`, of the features -> (M, ...)."""
        return mixture(values, self.wave_partner, self.wave_weight, power)

    def mix(self, values: Tensor, power: bool = False) -> Tensor:
        """weight * own + (1 - weight) * partner's, for (M, ...) values -> (B, ...).

        `power`: the values are powers, so the weights, which are of amplitudes, are squared.
        """
        return mixture(values, self.partner, self.weight, power)

    def mix_targets(self, values: Tensor) -> Tensor:
        """Both mixups, of values of the features: those of each clip, by their shares (B, ...)."""
        return self.mix(self.mix_waves(values))

    def unmixed(self, flags: Tensor) -> Tensor:
        """Which clips have a flag, and are mixed with none that has not: bool -> (B,) bool."""
        return self.mix_targets((~flags).float()) == 0


def mixture(values: Tensor, partner: Tensor, weight: Tensor, power: bool) -> Tensor:
    """Of the first values, as many as weights, with their partners; further ones are only partners.

    Shapes: (N, ...), (M,), (M,) with M <= N -> (M, ...).
    """
    own, other = weight, 1 - weight
    if power:
        own, other = own.square(), other.square()
    shape = (-1, *[1] * (values.ndim - 1))
    mixed_in = other.reshape(shape) * values[partner]
    return own.reshape(shape) * values[: len(own)] + mixed_in


def beta(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """Beta(alpha, alpha) from two gamma samples; torch.distributions takes no generator."""
    first, second = torch._standard_gamma(torch.full((2, count), alpha), generator=generator)
    return first / (first + second).clamp_min(torch.finfo(torch.float32).tiny)
