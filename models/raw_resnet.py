"""The residual network on raw waveforms of the published specialist system."""

from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import ConfigError
from models.output import Output
from models.shapes import check_positive, check_waveform_shape, thinned

STRIDE = 12  # samples a frame of the first convolution
BLOCKS = (64, 64, 128, 128, 128, 128, 128)
POOL = 3  # after each block
SLOPE = 0.3  # of LeakyReLU below zero


class Reading(NamedTuple):
    """What code and report say differently."""

    first: int  # channels of the first convolution
    last: int  # channels of the 1x1 convolution at the end
    embedding: int
    padding: int  # frames of zeros on both sides of the last map


READINGS = {"code": Reading(128, 128, 128, 3), "report": Reading(64, 64, 64, 0)}


class RawResnet(nn.Module):
    """Residual 1-D convolutions on a raw waveform, 0.6 million parameters.

    A convolution over 12 samples at a time; seven blocks of two convolutions over 3 frames, each
    followed by maximum pooling of 3; a 1x1 convolution; the mean and the maximum over time beside
    each other; an embedding without activation; classes without bias. LeakyReLU of slope 0.3 and
    batch normalisation throughout. 636,736 parameters for two channels and 10 classes.

    `reading`: what the published code builds, or what the table of its report says: 64 channels at
    both ends, so that 128 values are pooled, and an embedding of 64; 564,416 parameters. That the
    last convolution has half the channels is read from the 128 pooled values.
    `last_padding`: frames of zeros on both sides of the last map, before its 1x1 convolution. The
    code has 3, a quarter of what is pooled of 10 s at 48 kHz, and its weights want them; empty:
    as `reading` has it. `width_mult` thins all layers, but none below 8 channels.

    Source: Jung et al., the specialist system of DCASE 2019 Task 1A; its published weights load,
    see `models.published`.
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
        reading: Literal["code", "report"] = "code",
        last_padding: int | None = None,
        width_mult: float = 1.0,
    ) -> None:
        super().__init__()
        read = READINGS[reading]
        padding = read.padding if last_padding is None else last_padding
        if padding < 0:
            raise ConfigError("raw_resnet last_padding", f"found {padding}, want at least 0")
        check_positive("raw_resnet", "width_mult", width_mult)
        # A single frame of a single clip has no variance for the last batch normalisation.
        fewest = STRIDE * POOL ** len(BLOCKS) * (1 if padding else 2)
        channels, _ = check_waveform_shape("raw_resnet", input_shape, samples=fewest)
        first, last, embedding = (thinned(n, width_mult) for n in read[:3])
        sizes = [first, *(thinned(n, width_mult) for n in BLOCKS)]
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
    """Two convolutions, added to their input, LeakyReLU, a third of the frames.

    Where the channels change, what is added is a convolution of the input.
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
