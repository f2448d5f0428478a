"""The residual network on raw waveforms of the published specialist system."""

from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import ConfigError
from models.output import Output
from models.shapes import check_positive, check_waveform_shape, scale_channels

STRIDE = 12  # samples per frame of the first convolution
BLOCKS = (64, 64, 128, 128, 128, 128, 128)
POOL = 3  # after each block
SLOPE = 0.3  # of LeakyReLU below zero


class Version(NamedTuple):
    """The differences of the published code and its report."""

    first: int  # channels of the first convolution
    last: int  # channels of the 1x1 convolution at the end
    embedding: int
    padding: int  # frames of zeros on both sides before the last convolution


VERSIONS = {"code": Version(128, 128, 128, 3), "report": Version(64, 64, 64, 0)}


class RawResnet(nn.Module):
    """A residual 1-D network on raw waveforms, 0.6 million parameters.

    A convolution of size and stride 12; seven blocks of two convolutions of size 3, each followed
    by maximum pooling of 3; a 1x1 convolution; mean and maximum over time, concatenated; a linear
    embedding; a classifier without bias. LeakyReLU of slope 0.3 and batch normalisation throughout.
    636,736 parameters for two channels and 10 classes.

    Options:
        version: the network of the published code, or of the table in its report: 64 channels at
            both ends, so that 128 values are pooled, and an embedding of 64; 564,416 parameters.
            The channels of the last convolution are inferred from the 128 pooled values.
        last_conv_padding: frames of zeros on both sides before the last 1x1 convolution; default 3
            (code) or 0 (report). 3 is a quarter of the pooled frames of 10 s at 48 kHz, and the
            published weights require it.
        width_mult: factor of the channels of all layers, none below 8.

    Source: Jung et al., the specialist system of DCASE 2019 Task 1A; its published weights can be
    loaded, see `models.published`. They require samples that are multiplied by 32000, with
    PRE_EMPHASIS = 0.97: NORMALISE = fixed, MEAN = 0, STD = 3.125e-5.
    Shapes: (B, C, S) -> logits (B, K), embedding (B, 128), maps: the end of each block, of
    S // 36 frames and a third of them each time, the last (B, 128, S // 26,244).
    Raises ConfigError for less than 26,244 samples, 52,488 without padding, and for options out of
    range.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int],
        version: Literal["code", "report"] = "code",
        last_conv_padding: int | None = None,
        width_mult: float = 1.0,
    ) -> None:
        super().__init__()
        published = VERSIONS[version]
        padding = published.padding if last_conv_padding is None else last_conv_padding
        if padding < 0:
            raise ConfigError(
                "raw_resnet last_conv_padding", f"found {padding}, expected at least 0"
            )
        check_positive("raw_resnet", "width_mult", width_mult)
        # A single frame of a single clip has no variance for the last batch normalisation.
        fewest = STRIDE * POOL ** len(BLOCKS) * (1 if padding else 2)
        channels, _ = check_waveform_shape("raw_resnet", input_shape, samples=fewest)
        first, last, embedding = (scale_channels(n, width_mult) for n in published[:3])
        sizes = [first, *(scale_channels(n, width_mult) for n in BLOCKS)]
        self.stem = convolution(channels, first, STRIDE, stride=STRIDE)
        self.blocks = nn.ModuleList(Block(*pair) for pair in pairwise(sizes))
        self.last = convolution(sizes[-1], last, 1, padding=padding)
        self.fc = nn.Linear(2 * last, embedding)
        self.classifier = nn.Linear(embedding, num_classes, bias=False)

    def forward(self, x: Tensor) -> Output:
        x = self.stem(x)
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        x = self.last(x)
        embedding = self.fc(torch.cat((x.mean(dim=2), x.amax(dim=2)), dim=1))
        return Output(self.classifier(embedding), embedding, tuple(maps))


class Block(nn.Module):
    """Two convolutions with a shortcut, LeakyReLU, maximum pooling of 3.

    Where the number of channels changes, the shortcut is a convolution.
    Shapes: (B, C, T) -> (B, C', T // 3).
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels_in, channels_out, 3, padding=1)
        self.norm1 = nn.BatchNorm1d(channels_out)
        self.conv2 = nn.Conv1d(channels_out, channels_out, 3, padding=1)
        self.norm2 = nn.BatchNorm1d(channels_out)
        self.projection = None
        if channels_in != channels_out:
            self.projection = nn.Conv1d(channels_in, channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.projection is None else self.projection(x)
        inner = F.leaky_relu(self.norm1(self.conv1(x)), SLOPE)
        inner = self.norm2(self.conv2(inner))
        return F.max_pool1d(F.leaky_relu(inner + shortcut, SLOPE), POOL)


def convolution(
    channels_in: int, channels_out: int, size: int, *, stride: int = 1, padding: int = 0
) -> nn.Sequential:
    """Convolution over `size` samples or frames, batch normalisation, LeakyReLU."""
    return nn.Sequential(
        nn.Conv1d(channels_in, channels_out, size, stride=stride, padding=padding),
        nn.BatchNorm1d(channels_out),
        nn.LeakyReLU(SLOPE),
    )
