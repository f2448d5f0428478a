"""MobileNetV3 on mels, as in EfficientAT."""

from typing import Literal, NamedTuple

from torch import Tensor, nn

from config import ConfigError
from models.output import Output
from models.shapes import check_mel_shape, check_positive, multiple_of_8


class Shape(NamedTuple):
    """A block of MobileNetV3-large, before `width_mult`."""

    kernel: int
    inner: int  # channels of its depthwise convolution
    channels: int  # at its end
    squeeze: bool  # whether it has squeeze and excitation
    hard_swish: bool  # or ReLU


FIRST = 16  # channels of the stem
BLOCKS = (
    Shape(3, 16, 16, False, False),
    Shape(3, 64, 24, False, False),
    Shape(3, 72, 24, False, False),
    Shape(5, 72, 40, True, False),
    Shape(5, 120, 40, True, False),
    Shape(5, 120, 40, True, False),
    Shape(3, 240, 80, False, True),
    Shape(3, 200, 80, False, True),
    Shape(3, 184, 80, False, True),
    Shape(3, 184, 80, False, True),
    Shape(3, 480, 112, True, True),
    Shape(3, 672, 112, True, True),
    Shape(5, 672, 160, True, True),
    Shape(5, 960, 160, True, True),
    Shape(5, 960, 160, True, True),
)
STRIDED = (1, 3, 6, 12)  # the blocks that downsample
STAGE_ENDS = (1, 3, 6, 12, 16)  # the last of `features` at each published resolution
LAST, HIDDEN = 6, 1280  # times the last block's channels; units of the head


class MN(nn.Module):
    """MobileNetV3-large on mels (EfficientAT), 4.9 million parameters.

    A 3x3 convolution of stride 2, fifteen inverted residuals, a 1x1 convolution to 960 channels.
    For one channel and 527 classes 4,876,831 parameters; with a `width_mult` of 0.4, 2, 3 or 4
    (mn04, mn20 …) 983,599, 17,909,287, 39,086,367 or 68,427,303. All widths are rounded to
    multiples of 8, and none is less. 1000 frames of 128 bands are 541,078,208 multiply-accumulates.

    Options:
        width_mult: factor of the channels of all layers.
        head: `mlp`: the mean over time and frequency, 1280 units (x width), hard-swish, dropout of
            0.2, classifier; `fully_convolutional`: a 1x1 convolution to the classes, batch
            normalisation, the mean. The embedding is the mean of the last map in both cases.
        strides: of the blocks that downsample, first to last; 2221 and 2211 are the published ones
            of smaller receptive field (mn10_as_fc_s2221, mn10_as_fc_s2211).

    Source: Howard et al., arXiv:1905.02244; on sounds Schmid et al., ICASSP 2023, arXiv:2211.04772,
    and its code, whose published weights can be loaded, see `models.published`.
    Differs: without squeeze and excitation over time or frequency, attention pooling and the other
    options of its code, which no published checkpoint uses.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, 960 x width), maps: the end of each
    resolution, the last (B, 960 x width, ceil(T / 32), ceil(F / 32)).
    Raises ConfigError for a width that is not positive, and for an input whose last map would be a
    single value, such as one of at most 32 x 32.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        width_mult: float = 1.0,
        head: Literal["mlp", "fully_convolutional"] = "mlp",
        strides: Literal["2222", "2221", "2211"] = "2222",
    ) -> None:
        super().__init__()
        channels, frames, bands = check_mel_shape("mn", input_shape, frames=1, bands=1)
        check_positive("mn", "width_mult", width_mult)
        stride_of = dict(zip(STRIDED, map(int, strides), strict=True))
        smallest = 2 << list(stride_of.values()).count(2)
        if max(frames, bands) <= smallest:
            found = f"requires at least {smallest + 1} frames or bands, found {frames} x {bands}"
            raise ConfigError("mn", found)
        width = multiple_of_8(FIRST * width_mult)
        self.features = nn.Sequential(convolution(channels, width, 3, nn.Hardswish(), stride=2))
        for number, shape in enumerate(BLOCKS):
            block = Block(width, shape, width_mult, stride_of.get(number, 1))
            self.features.append(block)
            width = block.channels
        self.features.append(convolution(width, LAST * width, 1, nn.Hardswish()))
        width *= LAST
        self.fc: nn.Module | None = None
        if head == "mlp":
            hidden = multiple_of_8(HIDDEN * width_mult)
            self.fc = nn.Sequential(nn.Linear(width, hidden), nn.Hardswish(), nn.Dropout(0.2))
            self.classifier: nn.Module = nn.Linear(hidden, num_classes)
        else:
            self.classifier = nn.Sequential(
                nn.Conv2d(width, num_classes, 1, bias=False), nn.BatchNorm2d(num_classes)
            )
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Output:
        maps = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in STAGE_ENDS:
                maps.append(x)
        embedding = x.mean(dim=(2, 3))
        if self.fc is None:
            logits = self.classifier(x).mean(dim=(2, 3))
        else:
            logits = self.classifier(self.fc(embedding))
        return Output(logits, embedding, tuple(maps))


class Block(nn.Module):
    """Expansion, depthwise convolution, squeeze and excitation, projection.

    The expansion is left out where it would not change the channels. The input is added where the
    shape stays.

    Shapes: (B, C, T, F) -> (B, C', ceil(T / stride), ceil(F / stride)).
    """

    def __init__(self, channels: int, shape: Shape, width_mult: float, stride: int) -> None:
        super().__init__()
        inner = multiple_of_8(shape.inner * width_mult)
        self.channels = multiple_of_8(shape.channels * width_mult)
        activation = nn.Hardswish if shape.hard_swish else nn.ReLU
        self.block = nn.Sequential()
        if inner != channels:
            self.block.append(convolution(channels, inner, 1, activation()))
        self.block.append(
            convolution(inner, inner, shape.kernel, activation(), stride=stride, groups=inner)
        )
        if shape.squeeze:
            self.block.append(SqueezeExcitation(inner))
        self.block.append(convolution(inner, self.channels, 1))
        self.residual = stride == 1 and channels == self.channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + y if self.residual else y


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from the means of all channels.

    Source: Hu et al., arXiv:1709.01507. Shapes: (B, C, T, F) -> (B, C, T, F).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = multiple_of_8(channels // 4)
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.fc2(self.fc1(x.mean(dim=(2, 3))).relu()).sigmoid()
        return x * gate[:, :, None, None]


def convolution(
    channels_in: int,
    channels_out: int,
    size: int,
    activation: nn.Module | None = None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Convolution without bias, batch normalisation, activation."""
    conv = nn.Conv2d(
        channels_in, channels_out, size, stride, padding=size // 2, groups=groups, bias=False
    )
    norm = nn.BatchNorm2d(channels_out, eps=1e-3, momentum=0.01)
    return nn.Sequential(conv, norm, *([activation] if activation else []))


def init_weights(layer: nn.Module) -> None:
    """The initialisation of the published network."""
    if isinstance(layer, nn.Conv1d | nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=0.01)
    if isinstance(layer, nn.Conv1d | nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
