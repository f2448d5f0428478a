"""CP-ResNet, the teacher and student of the published low-complexity scene systems."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import ConfigError
from models.output import Output
from models.shapes import check_mel_shape

NEVER = 10
MIN_RHO = ((1, NEVER), (2, 3), (4, 5), (8, 9))  # from which the convolutions of a block are 3x3


class CpResnet(nn.Module):
    """CP-ResNet: bounded receptive field, 0.13 million parameters.

    A residual network on mels. A 5x5 convolution of stride 2 and maximum pooling of 2; two blocks
    of 32 channels, each followed by pooling of two bands; one of 64 channels in two groups; one of
    92; a 1x1 convolution to the classes, batch normalisation, the mean over time and frequency.
    127,684 parameters for one channel and 10 classes. The last convolution is initialised with 0,
    so all logits are equal before the first step.

    Options:
        base_channels: n; the three stages have n, 2n and 4n - 36 channels. Even, at least 12.
        rho: 1 to 9, bounds the receptive field: the higher, the more convolutions are 3x3 and not
            1x1. 8 gives 55 frames x 155 bands; 5 to 7 are the same in a network of this depth.

    Source: Koutini et al., "Receptive field regularization techniques for audio classification and
    tagging with deep convolutional neural networks", IEEE/ACM TASLP 2021 (arXiv:2105.12395), with
    the settings of the published system for DCASE 2023 Task 1; its weights can be loaded, see
    `models.published`.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, 92), maps: the end of each stage, the last
    (B, 92, ~T / 4, ~F / 16).
    Raises ConfigError for fewer than 9 frames or 17 bands and for options out of range.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        base_channels: int = 32,
        rho: int = 8,
    ) -> None:
        super().__init__()
        channels, _, _ = check_mel_shape("cp_resnet", input_shape, frames=9, bands=17)
        if base_channels < 12 or base_channels % 2:
            found = f"found {base_channels}, expected an even number of at least 12"
            raise ConfigError("cp_resnet base_channels", found)
        if not 1 <= rho <= 9:
            raise ConfigError("cp_resnet rho", f"found {rho}, expected 1 to 9")
        first, second, third = base_channels, 2 * base_channels, 4 * base_channels - 36
        sizes = [(3 if rho >= a else 1, 3 if rho >= b else 1) for a, b in MIN_RHO]
        stem = nn.Conv2d(channels, first, 5, stride=2, padding=1, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(first))
        self.blocks = nn.ModuleList(
            [
                Block(first, first, sizes[0]),
                Block(first, first, sizes[1]),
                Block(first, second, sizes[2], groups=2),
                Block(second, third, sizes[3]),
            ]
        )
        classifier = nn.Conv2d(third, num_classes, 1, bias=False)
        self.classifier = nn.Sequential(classifier, nn.BatchNorm2d(num_classes))
        nn.init.kaiming_normal_(stem.weight, nonlinearity="relu")
        nn.init.zeros_(classifier.weight)

    def forward(self, x: Tensor) -> Output:
        x = F.max_pool2d(self.stem(x).relu(), 2)
        for block in self.blocks[:2]:
            x = F.max_pool2d(block(x), (1, 2))
        maps = [x]
        for block in self.blocks[2:]:
            x = block(x)
            maps.append(x)
        logits = self.classifier(x).mean(dim=(2, 3))
        return Output(logits, x.mean(dim=(2, 3)), tuple(maps))


class Block(nn.Module):
    """Two convolutions with batch normalisation, added to their input, ReLU.

    Where the number of channels changes, the shortcut is a normalised 1x1 convolution. As in Fixup
    (Zhang et al., arXiv:1901.09321), the second convolution is initialised with 0 and the first is
    divided by the square root of the number of blocks.
    Shapes: (B, C, T, F) -> (B, C', T, F).
    """

    def __init__(
        self, channels_in: int, channels_out: int, sizes: tuple[int, int], groups: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = convolution(channels_in, channels_out, sizes[0], groups)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = convolution(channels_out, channels_out, sizes[1], groups)
        self.norm2 = nn.BatchNorm2d(channels_out)
        nn.init.zeros_(self.conv2.weight)
        with torch.no_grad():
            self.conv1.weight.mul_(len(MIN_RHO) ** -0.5)
        self.projection = None
        if channels_in != channels_out:
            conv = convolution(channels_in, channels_out, 1, groups)
            self.projection = nn.Sequential(conv, nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.projection is None else self.projection(x)
        inner = self.norm1(self.conv1(x)).relu()
        return (self.norm2(self.conv2(inner)) + shortcut).relu()


def convolution(channels_in: int, channels_out: int, size: int, groups: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels_in, channels_out, size, padding=size // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv
