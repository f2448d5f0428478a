"""DyMN: MobileNetV3 with kernels and activations that depend on the clip, as in EfficientAT."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import ConfigError
from models.mn import (
    BLOCKS,
    FIRST,
    HIDDEN,
    LAST,
    STAGE_ENDS,
    STRIDED,
    Block,
    Shape,
    convolution,
    init_weights,
)
from models.output import Output
from models.shapes import check_mel_shape, check_positive, multiple_of_8

KERNELS = 4  # of a dynamic convolution
CONTEXT_RATIO = 4  # channels of the depthwise convolution per value of the context
CONTEXT_SIZES = 32, 128  # its smallest and largest size, before `width_mult`
SMALLEST = 32  # frames and bands that leave a single value in the last map


class DyMN(nn.Module):
    """Dynamic MobileNetV3 on mels (EfficientAT), 10.6 million parameters.

    The network of `mn` with dynamic blocks, which have no squeeze and excitation. For one channel
    and 527 classes 10,548,479 parameters; with a `width_mult` of 0.4 or 2 (dymn04, dymn20)
    1,961,239 or 39,966,143 (the published 1.97, 10.57 and 40.02 million include the statistics of
    batch normalisation). 1000 frames of 128 bands are 581,672,832 multiply-accumulates.

    Options:
        width_mult: factor of the channels of all layers.
        dynamic: the dynamic blocks: `all`, or `replace_se`, those that have squeeze and excitation
            in `mn`.
        kernel_temperature: of the softmax over the kernels, from 1. It decreases by 1 after each
            epoch of training, to 1. Published: 30 for random weights and those of ImageNet, 1 for
            those of AudioSet. The weights of a run contain it.

    Source: Schmid et al., arXiv:2310.15648, and its code, whose published weights can be loaded,
    see `models.published`.
    Differs: published training starts at a temperature of 30 unless it is set; here at 1, that of
    the AudioSet weights. It decreases from the value that a training starts with, also where that
    is fine-tuning. Without groups of attention weights, strides, heads and other options of its
    code, which no published checkpoint uses.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, 960 x width), maps: the end of each
    resolution, the last (B, 960 x width, ceil(T / 32), ceil(F / 32)).
    Raises ConfigError for a width that is not positive, a temperature below 1, and for an input of
    at most 32 x 32, whose last map would be a single value.
    """

    temperature: Tensor

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        width_mult: float = 1.0,
        dynamic: Literal["all", "replace_se"] = "all",
        kernel_temperature: float = 1.0,
    ) -> None:
        super().__init__()
        channels, frames, bands = check_mel_shape("dymn", input_shape, frames=1, bands=1)
        check_positive("dymn", "width_mult", width_mult)
        if not 1 <= kernel_temperature < float("inf"):
            raise ConfigError(
                "dymn kernel_temperature",
                f"found {kernel_temperature:g}, expected a number from 1",
            )
        if max(frames, bands) <= SMALLEST:
            found = f"requires at least {SMALLEST + 1} frames or bands, found {frames} x {bands}"
            raise ConfigError("dymn", found)
        self.register_buffer("temperature", torch.tensor(float(kernel_temperature)))
        width = multiple_of_8(FIRST * width_mult)
        self.features = nn.ModuleList([convolution(channels, width, 3, nn.Hardswish(), stride=2)])
        for number, shape in enumerate(BLOCKS):
            is_dynamic = dynamic == "all" or shape.squeeze
            block: type[DynamicBlock] | type[Block] = DynamicBlock if is_dynamic else Block
            self.features.append(
                layer := block(width, shape, width_mult, 2 if number in STRIDED else 1)
            )
            width = layer.channels
        self.features.append(convolution(width, LAST * width, 1, nn.Hardswish()))
        width, hidden = LAST * width, multiple_of_8(HIDDEN * width_mult)
        self.fc = nn.Sequential(nn.Linear(width, hidden), nn.Hardswish(), nn.Dropout(0.2))
        self.classifier = nn.Linear(hidden, num_classes)
        self.apply(init_weights)

    def forward(self, x: Tensor) -> Output:
        maps = []
        for number, layer in enumerate(self.features):
            x = layer(x, self.temperature) if isinstance(layer, DynamicBlock) else layer(x)
            if number in STAGE_ENDS:
                maps.append(x)
        embedding = x.mean(dim=(2, 3))
        return Output(self.classifier(self.fc(embedding)), embedding, tuple(maps))


def lower_temperature(model: nn.Module) -> None:
    """The step of a DyMN between two epochs of training. Other models stay as they are.

    Source: the published code lowers its temperature from 30 to 1 by 1 per epoch.
    """
    for module in model.modules():
        if isinstance(module, DyMN):
            module.temperature.sub_(1).clamp_(min=1)


class DynamicBlock(nn.Module):
    """An inverted residual of dynamic convolutions, with a dynamic ReLU and coordinate attention.

    The expansion, with its activation, is left out where it would not change the channels. The
    input is added where the shape stays. All parts depend on one context of the block's input.

    Shapes: (B, C, T, F), temperature () -> (B, C', ceil(T / stride), ceil(F / stride)).
    """

    def __init__(self, channels: int, shape: Shape, width_mult: float, stride: int) -> None:
        super().__init__()
        inner = multiple_of_8(shape.inner * width_mult)
        self.channels = multiple_of_8(shape.channels * width_mult)
        smallest, largest = (multiple_of_8(size * width_mult) for size in CONTEXT_SIZES)
        size = min(max(multiple_of_8(inner // CONTEXT_RATIO), smallest), largest)
        self.context = Context(channels, size, inner, stride)
        self.expand = None if inner == channels else DynamicConvolution(channels, inner, 1, size)
        self.activation = nn.Hardswish() if shape.hard_swish else nn.ReLU()
        self.depthwise = DynamicConvolution(
            inner, inner, shape.kernel, size, stride=stride, groups=inner
        )
        self.relu = DynamicReLU(inner, size)
        self.project = DynamicConvolution(inner, self.channels, 1, size)
        self.residual = stride == 1 and channels == self.channels

    def forward(self, x: Tensor, temperature: Tensor) -> Tensor:
        context, time, frequency = self.context(x)
        y = x
        if self.expand is not None:
            y = self.activation(self.expand(y, context, temperature))
        y = self.relu(self.depthwise(y, context, temperature), context)
        y = y * frequency.sigmoid()[:, :, None] * time.sigmoid()[..., None]
        y = self.project(y, context, temperature)
        return x + y if self.residual else y


class Context(nn.Module):
    """The context of a block, and the inputs of the gates of its coordinate attention.

    The means over frequency and over time are one sequence of T + F steps to a 1x1 convolution with
    batch normalisation and hard-swish, and the context is the mean of all its steps. The gates are
    linear in its parts, which are averaged over three steps where the block has a stride; beyond
    the ends there are zeros.

    Source: Hou et al., CVPR 2021, arXiv:2103.02907, and arXiv:2310.15648.
    Shapes: (B, C, T, F) -> (B, H), (B, inner, ceil(T / stride)), (B, inner, ceil(F / stride)).
    """

    def __init__(self, channels: int, size: int, inner: int, stride: int) -> None:
        super().__init__()
        self.joint = nn.Sequential(
            nn.Conv1d(channels, size, 1, bias=False),
            nn.BatchNorm1d(size, eps=1e-3, momentum=0.01),
            nn.Hardswish(),
        )
        self.pool = nn.AvgPool1d(3, stride, padding=1) if stride > 1 else nn.Identity()
        self.time = nn.Conv1d(size, inner, 1)
        self.frequency = nn.Conv1d(size, inner, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        steps, frames = self.joint(torch.cat((x.mean(3), x.mean(2)), 2)), x.shape[2]
        time = self.time(self.pool(steps[:, :, :frames]))
        frequency = self.frequency(self.pool(steps[:, :, frames:]))
        return steps.mean(2), time, frequency


class DynamicConvolution(nn.Module):
    r"""Convolution by a weighted sum of four kernels, whose weights depend on the context, and
    batch normalisation.

    .. math:: W = \sum_k \pi_k W_k, \quad \pi = \operatorname{softmax}((A h + b) / \tau)

    Pointwise, or depthwise with `groups` equal to the channels.

    Source: Chen et al., CVPR 2020, arXiv:1912.03458, eq. 2-5.
    Shapes: (B, C, T, F), context h (B, H), temperature () ->
    (B, C', ceil(T / stride), ceil(F / stride)).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        context: int,
        *,
        stride: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.groups = stride, size // 2, groups
        self.attention = nn.Linear(context, KERNELS)
        shape = KERNELS * channels_out, channels_in // groups, size, size
        self.weight = nn.Parameter(torch.empty(shape))  # kernel by kernel
        for kernel in self.weight.data.chunk(KERNELS):
            nn.init.kaiming_normal_(kernel, mode="fan_out")
        self.norm = nn.BatchNorm2d(channels_out, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor, context: Tensor, temperature: Tensor) -> Tensor:
        shares = (self.attention(context) / temperature).softmax(1)
        if torch.compiler.is_exporting():
            return self.norm(self.of_any_batch(x, shares))
        clips, channels = len(x), self.norm.num_features
        kernels = shares @ self.weight.reshape(KERNELS, -1)
        y = F.conv2d(
            x.reshape(1, -1, *x.shape[2:]),
            kernels.reshape(clips * channels, *self.weight.shape[1:]),
            stride=self.stride,
            padding=self.padding,
            groups=clips * self.groups,
        )
        return self.norm(y.view(clips, channels, *y.shape[2:]))

    def of_any_batch(self, x: Tensor, shares: Tensor) -> Tensor:
        """The same for an exported graph, in which the groups cannot depend on the batch."""
        kernels = self.weight.unflatten(0, (KERNELS, -1))
        if self.groups == 1:
            per_input = kernels.flatten(2).permute(2, 0, 1)  # (C, 4, C')
            mixed = (shares[:, None, None] @ per_input).squeeze(2)
            y = x.flatten(2).transpose(1, 2) @ mixed
            return y.transpose(1, 2).unflatten(2, x.shape[2:])
        all_four = kernels.transpose(0, 1).flatten(0, 1)
        y = F.conv2d(x, all_four, None, self.stride, self.padding, groups=self.groups)
        return (y.unflatten(1, (-1, KERNELS)) * shares[:, None, :, None, None]).sum(2)


class DynamicReLU(nn.Module):
    r"""The larger of two linear functions of a channel, with coefficients from the context.

    .. math:: y = \max((1 + a_1) x + b_1 / 2, a_2 x + b_2 / 2), \quad
              (a_1, a_2, b_1, b_2) = 2 \sigma(A h + b) - 1

    Source: DY-ReLU-B of Chen et al., ECCV 2020, arXiv:2003.10027.
    Shapes: (B, C, T, F), context h (B, H) -> (B, C, T, F).
    """

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.coefficients = nn.Linear(context, 4 * channels)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        found = 2 * self.coefficients(context).sigmoid() - 1
        slope_1, slope_2, shift_1, shift_2 = found.unflatten(1, (-1, 4, 1, 1)).unbind(2)
        return torch.maximum((1 + slope_1) * x + shift_1 / 2, slope_2 * x + shift_2 / 2)
