"""The residual network on mels of the published specialist system."""

from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from models.output import Output
from models.shapes import check_mel_shape, check_positive, scale_channels

CHANNELS = (30, 60, 120, 240)
DOWNSAMPLING = (1, 2, 2, 3)  # of time and frequency, in each of the four blocks


class MelResnet(nn.Module):
    """A pre-activation ResNet on mels, 1.1 million parameters.

    A 7x7 convolution that keeps the number of frames and removes 4 bands; four pre-activation
    blocks of 30, 60, 120 and 240 channels, which downsample time and frequency by 1, 2, 2 and 3;
    the mean over time and frequency; a linear classifier. 256 bands become 252, 126, 63 and 21.
    1,081,810 parameters for two channels and 10 classes.

    Options:
        downsampling: by the stride of a block's first convolution and of its shortcut, or by
            maximum pooling at its end; the parameters are the same.
        width_mult: factor of the channels of all layers, none below 8.

    Source: report of Jung et al. on DCASE 2019 Task 1A, whose table gives the channels, the sizes
    and the downsampling; blocks as He et al., ECCV 2016 (arXiv:1603.05027), which it cites.
    Differs: its code is not published. Assumed are one block per size with two 3x3 convolutions, a
    1x1 shortcut where the channels change, convolutions without bias, initialised as by He et al.,
    and batch normalisation and ReLU before the mean.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, 240), maps: the end of each block, the last
    (B, 240, ~T / 12, ~(F - 4) / 12).
    Raises ConfigError for fewer than 24 frames or 16 bands and for options out of range.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        downsampling: Literal["stride", "pooling"] = "stride",
        width_mult: float = 1.0,
    ) -> None:
        super().__init__()
        channels, _, _ = check_mel_shape("mel_resnet", input_shape, frames=24, bands=16)
        check_positive("mel_resnet", "width_mult", width_mult)
        sizes = [scale_channels(n, width_mult) for n in CHANNELS]
        self.stem = convolution(channels, sizes[0], 7, padding=(3, 1))
        self.blocks = nn.ModuleList(
            Block(size_in, size_out, factor, downsampling)
            for (size_in, size_out), factor in zip(
                pairwise([sizes[0], *sizes]), DOWNSAMPLING, strict=True
            )
        )
        self.norm = nn.BatchNorm2d(sizes[-1])
        self.classifier = nn.Linear(sizes[-1], num_classes)

    def forward(self, x: Tensor) -> Output:
        x = self.stem(x)
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        embedding = F.relu(self.norm(x)).mean(dim=(2, 3))
        return Output(self.classifier(embedding), embedding, tuple(maps))


class Block(nn.Module):
    """Batch normalisation, ReLU and a 3x3 convolution, twice, added to the input.

    Where channels or sizes change, the shortcut is a 1x1 convolution of the normalised input.
    Shapes: (B, C, T, F) -> (B, C', T / factor, F / factor), rounded up by stride, down by pooling.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        factor: int,
        downsampling: Literal["stride", "pooling"],
    ) -> None:
        super().__init__()
        stride, pool = (factor, 1) if downsampling == "stride" else (1, factor)
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = convolution(channels_in, channels_out, 3, padding=1, stride=stride)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.conv2 = convolution(channels_out, channels_out, 3, padding=1)
        self.projection = None
        if channels_in != channels_out or stride > 1:
            self.projection = convolution(channels_in, channels_out, 1, stride=stride)
        self.pool = nn.MaxPool2d(pool) if pool > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        activated = F.relu(self.norm1(x))
        shortcut = x if self.projection is None else self.projection(activated)
        inner = F.relu(self.norm2(self.conv1(activated)))
        return self.pool(self.conv2(inner) + shortcut)


def convolution(
    channels_in: int,
    channels_out: int,
    size: int,
    *,
    padding: int | tuple[int, int] = 0,
    stride: int = 1,
) -> nn.Conv2d:
    conv = nn.Conv2d(channels_in, channels_out, size, stride=stride, padding=padding, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv
