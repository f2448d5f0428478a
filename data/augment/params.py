"""The augmentation parameters of a batch, in seconds, hertz and decibels."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class AugmentParams:
    """The augmentation parameters of one batch, one row per clip."""

    partner: Tensor  # (B,) position, among the features, of the mixup partner
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

    def to(self, device: torch.device) -> AugmentParams:
        moved = {f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)}
        return AugmentParams(**moved)

    def __getitem__(self, rows: Tensor) -> AugmentParams:
        return AugmentParams(
            **{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)}
        )

    def take(self, rows: Tensor) -> tuple[Tensor, AugmentParams]:
        """The positions of the clips that these clips are rendered from, and their parameters.

        First the clips themselves, then their MixStyle partners, then the mixup partners of both;
        no partners where nothing is mixed.
        Shapes: (N,) -> (N,), (2N,) or (4N,).
        """
        rendered = rows
        if (self.style_weight[rows] < 1).any():
            rendered = torch.cat([rows, self.style_partner[rows]])
        params, features = self[rendered], rendered
        if (params.weight < 1).any():
            features = torch.cat([rendered, params.partner])
        return features, dataclasses.replace(
            params,
            partner=torch.arange(len(features))[-len(rendered) :],
            style_partner=torch.arange(len(rendered))[-len(rows) :],
            style_weight=self.style_weight[rows],
        )

    def mix(self, values: Tensor, power: bool = False) -> Tensor:
        """weight * own + (1 - weight) * partner's, for (B, ...) values.

        `power`: the values are powers, so the weights, which are of amplitudes, are squared. Values
        after the first B are only partners.
        """
        own, other = self.weight, 1 - self.weight
        if power:
            own, other = own.square(), other.square()
        shape = (-1, *[1] * (values.ndim - 1))
        mixed_in = other.reshape(shape) * values[self.partner]
        return own.reshape(shape) * values[: len(own)] + mixed_in

    def unmixed(self, flags: Tensor) -> Tensor:
        """Which clips have a flag, and are mixed with none that has not: (N,) bool -> (B,) bool."""
        return flags[: len(self.weight)] & (flags[self.partner] | (self.weight == 1))


def beta(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """Beta(alpha, alpha) from two gamma samples; torch.distributions takes no generator."""
    first, second = torch._standard_gamma(torch.full((2, count), alpha), generator=generator)
    return first / (first + second).clamp_min(torch.finfo(torch.float32).tiny)
