"""CP-Mobile, the baseline of DCASE 2024 Task 1, low-complexity acoustic scene classification."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from models.output import Output
from models.shapes import check_mel_shape, check_positive, multiple_of_8

STAGES = (("b1", "b2", "b3"), ("b4", "b5"), ("b6",))


class Version(NamedTuple):
    """The differences of the two published networks."""

    channels_multiplier: float
    expansion_rate: float
    strides: dict[str, tuple[int, int]]  # (time, frequency) of the blocks that downsample
    response_norm: bool


VERSIONS = {
    "dcase2024": Version(1.8, 2.1, {"b3": (2, 1), "b4": (1, 2)}, False),
    "dcase2023": Version(2.3, 3.0, {"b2": (2, 2), "b4": (1, 2)}, True),
}


class CpMobile(nn.Module):
    """CP-Mobile: inverted residuals on mels, 0.06 million parameters.

    Designed for 128 kB and 30 million multiply-accumulates per second of audio. Two 3x3
    convolutions of stride 2; six inverted residuals b1 to b6 in three stages, each a 1x1
    convolution that expands, a depthwise 3x3 one and a 1x1 one that projects; a 1x1 convolution to
    the classes, batch normalisation, the mean over time and frequency. 61,148 parameters for one
    channel and 10 classes; with 8, 16 or 24 `base_channels` 5,722, 18,624 or 35,062.

    At 65 frames of 256 bands it has 29,416,448 multiply-accumulates. The published 29,419,156
    include, as torchinfo counts, two more for each of the 1,354 channels that are normalised.

    Options:
        base_channels: of the stem and the first stage; all widths are rounded to multiples of 8.
        version: the baseline of DCASE 2024, or the winner of 2023, which downsamples earlier and
            normalises the response of each block (see `GlobalResponseNorm`): 126,952 parameters and
            28,889,088 multiply-accumulates at its 64 frames per second.
        channels_multiplier: from one stage to the next; default 1.8 (2024) or 2.3 (2023).
        expansion_rate: within a block; default 2.1 (2024) or 3 (2023).

    Source: Schmid et al., DCASE 2023 Task 1, technical report, and "Data-efficient low-complexity
    acoustic scene classification in the DCASE 2024 challenge", arXiv:2405.10018; their published
    weights can be loaded, see `models.published`.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, 104), maps: the end of each stage, the last
    (B, 104, ceil(T / 8), ceil(F / 8)). 2023's: 168 and ceil(F / 16).
    Raises ConfigError for fewer than 9 frames, whose last map could be a single value, and for
    options out of range.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        base_channels: int = 32,
        version: Literal["dcase2024", "dcase2023"] = "dcase2024",
        channels_multiplier: float | None = None,
        expansion_rate: float | None = None,
    ) -> None:
        super().__init__()
        published = VERSIONS[version]
        if channels_multiplier is None:
            channels_multiplier = published.channels_multiplier
        if expansion_rate is None:
            expansion_rate = published.expansion_rate
        channels, _, _ = check_mel_shape("cp_mobile", input_shape, frames=9, bands=1)
        check_positive("cp_mobile", "base_channels", base_channels)
        check_positive("cp_mobile", "channels_multiplier", channels_multiplier)
        check_positive("cp_mobile", "expansion_rate", expansion_rate)
        width = multiple_of_8(base_channels)
        self.stem = nn.Sequential(
            convolution(channels, width // 4, 3, stride=2),
            convolution(width // 4, width, 3, stride=2),
        )
        self.blocks = nn.ModuleDict()
        before = width
        for number, names in enumerate(STAGES):
            after = multiple_of_8(width * channels_multiplier**number)
            for name in names:
                stride = published.strides.get(name, (1, 1))
                self.blocks[name] = Block(
                    before, after, expansion_rate, stride, published.response_norm
                )
                before = after
        self.classifier = convolution(before, num_classes, 1, activation=False)

    def forward(self, x: Tensor) -> Output:
        x = self.stem(x)
        maps = []
        for names in STAGES:
            for name in names:
                x = self.blocks[name](x)
            maps.append(x)
        logits = self.classifier(x).mean(dim=(2, 3))
        return Output(logits, x.mean(dim=(2, 3)), tuple(maps))


class Block(nn.Module):
    """Expansion, depthwise 3x3 convolution, projection; ReLU at the end.

    Where the number of channels stays, the input is added, average-pooled (3x3) where the block
    downsamples. The response norm of the 2023 version is before the ReLU.
    Shapes: (B, C, T, F) -> (B, C', ceil(T / stride), ceil(F / stride)).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        expansion_rate: float,
        stride: tuple[int, int],
        response_norm: bool,
    ) -> None:
        super().__init__()
        inner = multiple_of_8(channels_in * expansion_rate)
        self.layers = nn.Sequential(
            convolution(channels_in, inner, 1),
            convolution(inner, inner, 3, stride=stride, groups=inner),
            convolution(inner, channels_out, 1, activation=False),
        )
        self.shortcut = None
        if channels_in == channels_out:
            self.shortcut = nn.Identity() if stride == (1, 1) else nn.AvgPool2d(3, stride, 1)
        self.response_norm = GlobalResponseNorm() if response_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return self.response_norm(y).relu()


class GlobalResponseNorm(nn.Module):
    r"""Channels with a stronger response than the others of their clip are amplified.

    .. math:: x_c + \beta + \gamma x_c \frac{\lVert x_c \rVert_2}{\operatorname{mean}_k
              \lVert x_k \rVert_2 + 10^{-6}}

    The norms are over time and frequency. Both weights start at 0, where it is the identity.

    Source: Woo et al., ConvNeXt V2, arXiv:2301.00808.
    Differs: one gamma and one beta for all channels, as in CP-Mobile. Root mean squares replace the
    norms, and 1e-7 replaces 1e-6: the ratios are the same, and the values do not grow with the
    length of the clip beyond the range that int8 was calibrated on.
    Shapes: (B, C, T, F) -> (B, C, T, F).
    """

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        mean_square = x.float().square().mean(dim=(2, 3), keepdim=True)
        response = (mean_square + 1e-12).sqrt()  # silence has a gradient too
        ratio = response / (response.mean(dim=1, keepdim=True) + 1e-7)
        return x + self.gamma * x * ratio.to(x.dtype) + self.beta


def convolution(
    channels_in: int,
    channels_out: int,
    size: int,
    *,
    stride: int | tuple[int, int] = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    """Convolution without bias, batch normalisation and, with `activation`, ReLU."""
    conv = nn.Conv2d(
        channels_in, channels_out, size, stride, padding=size // 2, groups=groups, bias=False
    )
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    norm = nn.BatchNorm2d(channels_out)
    return nn.Sequential(conv, norm, nn.ReLU()) if activation else nn.Sequential(conv, norm)
