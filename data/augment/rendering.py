"""Augmentations in seconds, hertz and decibels on the time steps and bands of one front end."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from config import Mel
from data.features.front_end import log_floor

CELL_SECONDS, CELL_MELS = 0.010, 20.0  # of noise: about a frame and a band of a 128-band log-mel
STYLE_FLOOR = 1e-6  # of the variances of bands


# Along the time axis ------------------------------------------------------------------------------


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


def inside(points: Tensor, interval: Tensor) -> Tensor:
    """(N,) points and (B, 2) intervals -> (B, N): whether the point is in the interval."""
    return (points >= interval[:, :1]) & (points < interval[:, 1:])


# Along the frequency axis -------------------------------------------------------------------------


def hertz_to_mel(hertz: float) -> float:
    return 1127 * math.log1p(hertz / 700)


def warp_frequency(features: Tensor, centres: Tensor, share: Tensor) -> Tensor:
    """Each band takes the value at its mel times 1 + share.

    Linear interpolation in hertz between two bands; constant beyond the outer ones.

    Shapes: (B, C, T, F), the bands' centres (F,) in Hz, (B,) -> (B, C, T, F).
    """
    if len(centres) == 1:
        return features
    hertz = 700 * torch.expm1((1 + share[:, None]) * torch.log1p(centres / 700))
    above = torch.searchsorted(centres, hertz).clamp(1, len(centres) - 1)
    low, high = centres[above - 1], centres[above]
    part = ((hertz - low) / (high - low)).clamp(0, 1)[:, None, None, :]
    above = above[:, None, None, :].expand_as(features)
    below = features.gather(3, above - 1)
    return below + part * (features.gather(3, above) - below)


def noise(seed: Tensor, seconds: Tensor, hertz: Tensor) -> Tensor:
    """A field of cells in time and frequency, uniform in [0, 1], at the points of a grid.

    It depends on the seed only: points of different grids in the same cell get the same value. A
    cell is the product, in 32 bits, of a hash of its time and an odd hash of its band.

    Source: multiplicative hashing, Dietzfelbinger et al., J. Algorithms 1997.
    Shapes: (B,), (T,), (F,) -> (B, 1, T, F).
    """
    row = (seconds / CELL_SECONDS).round().long()
    column = (1127 / CELL_MELS * torch.log1p(hertz / 700)).round().long()
    times = (hash32(seed[:, None] + row) - 2**31).int()
    bands = (hash32(column) >> 1 | 1).int()
    product = times[:, None, :, None] * bands
    return product.float().mul_(2**-32).add_(0.5)


def hash32(numbers: Tensor) -> Tensor:
    """A hash of integers to 32 bits, in place: the same on every device.

    The form is that of MurmurHash3's finaliser; no product overflows int64.
    """
    numbers &= 2**32 - 1
    for factor in (0x7FEB352D, 0x31848BAB):
        numbers ^= numbers >> 16
        numbers.mul_(factor).bitwise_and_(2**32 - 1)
    numbers ^= numbers >> 15
    return numbers


def freq_mixstyle(features: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    r"""Freq-MixStyle: each band gets a mixture of its own and a partner's mean and std.

    .. math:: y = \sigma' \, \frac{x - \mu}{\sigma} + \mu', \quad
              \mu' = w \mu + (1 - w) \mu_p, \ \sigma' = w \sigma + (1 - w) \sigma_p

    over channel and time. It commutes with the normalisation of the bands.

    Source: Zhou et al. (MixStyle), ICLR 2021, with channels; over frequencies, Schmid et al.
    (CP-JKU), DCASE 2022.
    Shapes: (B, C, T, F), partners (N,) among the B, weights (N,) of the first N -> (N, C, T, F).
    """
    mean, count = features.mean((1, 2), keepdim=True), len(weight)
    plain = features - mean
    variance = plain.square().sum((1, 2), keepdim=True) / (plain[0, ..., 0].numel() - 1)
    std, weight = (variance + STYLE_FLOOR).sqrt(), weight[:, None, None, None]

    def mixed(style: Tensor) -> Tensor:
        return weight * style[:count] + (1 - weight) * style[partner]

    return plain[:count].mul_(mixed(std) / std[:count]).add_(mixed(mean))


# Level --------------------------------------------------------------------------------------------


def is_power(grid: Mel) -> bool:
    return grid.front_end == "mel" and grid.spectrum == "power"


def nepers(grid: Mel) -> float:
    """The change of the natural logarithm of the linear features per decibel."""
    return math.log(10) / (10 if is_power(grid) else 20)


def log_unit(grid: Mel) -> float:
    """The natural logarithm per unit of the front end's logarithm."""
    return {"natural": 1.0, "log10": math.log(10), "decibel": math.log(10) / 10}[grid.log]


def to_linear(features: Tensor, grid: Mel) -> Tensor:
    """Undo the logarithm of the front end."""
    if grid.front_end == "waveform" or grid.log == "none":
        return features
    return (torch.exp(features * log_unit(grid)) - grid.log_offset).clamp_min(0)


def to_log(linear: Tensor, grid: Mel) -> Tensor:
    if grid.front_end == "waveform" or grid.log == "none":
        return linear
    offset = grid.log_offset
    linear = linear + offset if offset else linear.clamp_min(log_floor(grid))
    return torch.log(linear) / log_unit(grid)
