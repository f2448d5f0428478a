"""YAMNet: MobileNetV1 on mels."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import ConfigError
from models.output import Output
from models.shapes import check_at_least, check_mel_shape, check_positive, multiple_of_8

FIRST = 32  # channels of the first convolution, whose stride is 2
CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
DEPTH = len(CHANNELS)
EPS = 1e-4  # of batch normalisation
ACTIVATIONS = {"relu6": nn.ReLU6, "relu": nn.ReLU}


class Yamnet(nn.Module):
    """YAMNet: MobileNetV1 on mels, 3.2 million parameters.

    A 3x3 convolution of stride 2 and thirteen separable blocks: a 3x3 depthwise convolution, a 1x1
    convolution. The embedding is the mean of the last map over time and frequency. With the 521
    classes of AudioSet 3,740,425 parameters, 3,729,481 without batch normalisation; 96 frames of 64
    bands are 69,165,056 multiply-accumulates.

    The published weights are for 64 bands, and their classifier for patches of 96 frames. Those of
    the LiteRT file, INIT = yamnet, require BATCH_NORM = no, and those in Keras ACTIVATION = relu. A
    model of fewer blocks starts from the first blocks of the published ones; its embedding is then
    the mean of the last of them: 256 values at a depth of 5.

    Options:
        depth: number of separable blocks, 1 to 13.
        width_mult: factor of the channels of all layers, rounded to multiples of 8.
        batch_norm: batch normalisation after each convolution; no: folded into the convolutions, as
            in the LiteRT file.
        activation: of each convolution; the published LiteRT file has relu6, the Keras file relu.
        patch_frames: frames of the patches that a clip is cut into, which overlap by half and
            whose embeddings are averaged; 0: the whole clip is one input. INIT = yamnet brings 96
            unless LOAD_CLASSIFIER = no: the published classifier is less accurate on longer inputs.
        pooling: of the last map to the embedding: its `mean` over time and frequency; `statistics`:
            that and the std over time of its mean over frequency, twice as many values, for a
            classifier of its own.
        classifier_norm: batch normalisation of the embedding, without scale and shift, before the
            classifier: for gradients under FREEZE = backbone, where the values differ in scale.

    Source: YAMNet of TensorFlow's models and TensorFlow Hub (LiteRT), with weights of AudioSet that
    can be loaded, see `models.yamnet_weights`; Howard et al., arXiv:1704.04861. Statistics pooling:
    Snyder et al., ICASSP 2018. Normalisation before a classifier on a frozen backbone: He et al.,
    CVPR 2022, arXiv:2111.06377.
    Differs: the published scores are the mean over patches of 0.96 s; with PATCH_FRAMES = 96 the
    logits are, and the last patch ends with the clip. Random weights are initialised as by He et
    al.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, D), maps: the end of each resolution, the
    last (B, D, ceil(T / 32), ceil(F / 32)) with D = 1024 at the full depth and width; the embedding
    (B, 2 D) of statistics. Maps of patches follow one another in time.
    Raises ConfigError for options out of range and, with `batch_norm`, for an input whose last map
    would be a single value.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        depth: int = DEPTH,
        width_mult: float = 1.0,
        batch_norm: bool = True,
        activation: Literal["relu6", "relu"] = "relu6",
        patch_frames: int = 0,
        pooling: Literal["mean", "statistics"] = "mean",
        classifier_norm: bool = False,
    ) -> None:
        super().__init__()
        channels, frames, bands = check_mel_shape("yamnet", input_shape, frames=1, bands=1)
        check_at_least("yamnet", 1, depth=depth)
        check_at_least("yamnet", 0, patch_frames=patch_frames)
        self.patch_frames = patch_frames
        frames = min(frames, patch_frames or frames)
        check_positive("yamnet", "width_mult", width_mult)
        if depth > DEPTH:
            raise ConfigError("yamnet depth", f"found {depth}, expected at most {DEPTH}")
        strides = [2]  # of each layer
        for stride in STRIDES[:depth]:
            strides += [stride, 1]
        smallest = 2 ** strides.count(2)
        if batch_norm and max(frames, bands) <= smallest:
            found = f"requires at least {smallest + 1} frames or bands, found {frames} x {bands}"
            raise ConfigError("yamnet", found)
        width = multiple_of_8(FIRST * width_mult)
        rest = batch_norm, ACTIVATIONS[activation]
        self.features = nn.Sequential(Layer(channels, width, 3, 2, 1, *rest))
        for full, stride in zip(CHANNELS[:depth], STRIDES, strict=False):
            self.features.append(Layer(width, width, 3, stride, width, *rest))
            self.features.append(Layer(width, multiple_of_8(full * width_mult), 1, 1, 1, *rest))
            width = multiple_of_8(full * width_mult)
        self.stage_ends = [n for n, stride in enumerate([*strides[1:], 2]) if stride == 2]
        self.pooled = {"mean": mean, "statistics": statistics}[pooling]
        width *= 2 if pooling == "statistics" else 1
        linear = nn.Linear(width, num_classes)
        norm = nn.BatchNorm1d(width, affine=False)
        self.classifier = nn.Sequential(norm, linear) if classifier_norm else linear

    def forward(self, x: Tensor) -> Output:
        maps, starts = [], patch_starts(x.shape[2], self.patch_frames)
        if len(starts) > 1:
            x = torch.stack([x[:, :, n : n + self.patch_frames] for n in starts], 1).flatten(0, 1)
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.stage_ends:
                maps.append(x)
        embedding = self.pooled(x)
        if len(starts) > 1:
            embedding = embedding.unflatten(0, (-1, len(starts))).mean(dim=1)
            maps = [m.unflatten(0, (-1, len(starts))).transpose(1, 2).flatten(2, 3) for m in maps]
        return Output(self.classifier(embedding), embedding, tuple(maps))


def mean(maps: Tensor) -> Tensor:
    """(B, D, T, F) -> (B, D), over time and frequency."""
    return maps.mean(dim=(2, 3))


def statistics(maps: Tensor) -> Tensor:
    """(B, D, T, F) -> (B, 2 D): mean over time and frequency, std over time of the mean over
    frequency; its square is at least 1e-6, so that its gradient is finite.
    """
    frames = maps.mean(dim=3)
    centred = frames - frames.mean(dim=2, keepdim=True)
    std = (centred.square().mean(dim=2) + 1e-6).sqrt()
    return torch.cat([frames.mean(dim=2), std], dim=1)


def patch_starts(frames: int, size: int) -> list[int]:
    """Where patches of `size` frames start, which overlap by half; the last ends with the clip."""
    last = frames - size
    return [*range(0, last, max(size // 2, 1)), last] if size and last > 0 else [0]


class Layer(nn.Sequential):
    """A convolution with TensorFlow's SAME padding, optional batch normalisation, activation.

    Shapes: (B, C, T, F) -> (B, C', ceil(T / stride), ceil(F / stride)).
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        size: int,
        stride: int,
        groups: int,
        batch_norm: bool,
        activation: type[nn.Module],
    ) -> None:
        padding = size // 2 if stride == 1 else 0
        conv = nn.Conv2d(
            *(channels_in, channels_out, size, stride, padding), groups=groups, bias=not batch_norm
        )
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        norms = [nn.BatchNorm2d(channels_out, eps=EPS)] if batch_norm else []
        super().__init__(conv, *norms, activation())
        self.strided = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(same_padding(x) if self.strided else x)


def same_padding(x: Tensor) -> Tensor:
    """TensorFlow's SAME padding for a kernel of 3 and a stride of 2.

    An axis of odd length has a zero at both ends, one of even length at its end only.
    """
    return F.pad(x, (x.shape[3] % 2, 1, x.shape[2] % 2, 1))
