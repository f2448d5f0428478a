"""What is drawn for the clips of a batch, in seconds, hertz and decibels."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class AugmentParams:
    """One batch's disturbances, a row a clip."""

    partner: Tensor  # (B,) position, among the features, of the clip that is mixed in
    weight: Tensor  # (B,) share of the clip itself, in [0.5, 1]
    roll: Tensor  # (B,) s
    gain: Tensor  # (B,) dB
    time_mask: Tensor  # (B, 2) s, from and to
    frequency_mask: Tensor  # (B, 2) Hz, from and to
    crop: Tensor  # (B,) s, where the stretch that is heard starts
    warp: Tensor  # (B,) share by which the mel axis is stretched
    noise: Tensor  # (B,) dB, of the loudest cell
    noise_seed: Tensor  # (B,) whole numbers below 2^31
    response: Tensor  # (B,) position of an impulse response; -1: none
    style_partner: Tensor  # (N,) position, among the B clips, of the one whose style is mixed in
    style_weight: Tensor  # (N,) share of a clip's own style; N < B: the rest only lend theirs

    def to(self, device: torch.device) -> AugmentParams:
        moved = {f.name: getattr(self, f.name).to(device) for f in dataclasses.fields(self)}
        return AugmentParams(**moved)

    def __getitem__(self, rows: Tensor) -> AugmentParams:
        return AugmentParams(
            **{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)}
        )

    def take(self, rows: Tensor) -> tuple[Tensor, AugmentParams]:
        """What some of the clips are rendered from, as positions, and what is drawn for that.

        First the clips themselves, then those whose styles they take, then what is mixed in to
        either; neither of these where nothing is mixed.
        Shapes: (N,) -> (N,), (2N,) or (4N,).
        """
        rendered = rows
        if (self.style_weight[rows] < 1).any():
            rendered = torch.cat([rows, self.style_partner[rows]])
        drawn, features = self[rendered], rendered
        if (drawn.weight < 1).any():
            features = torch.cat([rendered, drawn.partner])
        return features, dataclasses.replace(
            drawn,
            partner=torch.arange(len(features))[-len(rendered) :],
            style_partner=torch.arange(len(rendered))[-len(rows) :],
            style_weight=self.style_weight[rows],
        )

    def mix(self, values: Tensor, power: bool = False) -> Tensor:
        """weight * own + (1 - weight) * partner's, for (B, ...) values; `power`: the weights are
        amplitudes', which their squares are to what is mixed.

        More than B values: those behind the first B are there to be mixed in.
        """
        own, other = self.weight, 1 - self.weight
        if power:
            own, other = own.square(), other.square()
        shape = (-1, *[1] * (values.ndim - 1))
        mixed_in = other.reshape(shape) * values[self.partner]
        return own.reshape(shape) * values[: len(own)] + mixed_in


def beta(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """Beta(alpha, alpha) as one gamma's share of two; torch.distributions takes no generator."""
    first, second = torch._standard_gamma(torch.full((2, count), alpha), generator=generator)
    return first / (first + second).clamp_min(torch.finfo(torch.float32).tiny)
