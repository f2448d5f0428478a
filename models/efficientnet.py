"""EfficientNet on mels."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import ConfigError
from models.output import Output
from models.shapes import check_mel_shape, check_positive

VARIANTS = {  # width, depth and the size of the images that it was made for
    "b0": (1.0, 1.0, 224),
    "b1": (1.0, 1.1, 240),
    "b2": (1.1, 1.2, 260),
    "b3": (1.2, 1.4, 300),
    "b4": (1.4, 1.8, 380),
    "b5": (1.6, 2.2, 456),
    "b6": (1.8, 2.6, 528),
    "b7": (2.0, 3.1, 600),
}
STRIDED = (3, 3, 5, 3, 5)  # kernels of the convolutions with a stride of 2, the stem first
STAGE_ENDS = (0, 1, 2, 4)  # the last of timm's seven stages at each resolution
AUTHORS_WEIGHTS = ("b6", "b7")  # timm has only the authors' TensorFlow weights of these
HEADS = 4
EPSILON = 1e-7  # the distance of an attention weight or a probability from 0 and 1


class EfficientNet(nn.Module):
    """EfficientNet on mels, by timm, 4.3 (b0) to 64 million parameters.

    A stem, seven stages of inverted residuals with squeeze and excitation,
    1280 channels (x width) at the end. 4,263,172 parameters for b0, one channel and 200 classes;
    8.44 million for b2 and 527 classes, 13.64 with attention pooling.

    Options:
        variant: b0 to b7, which set width and depth.
        pooling: `mean` over time and frequency, then a linear layer; the `attention` of PSLA, see
            `AttentionPooling`; `mean_probability`: the mean over time of the probabilities of each
            frame, which PSLA compares with it. The embedding is the mean over time and frequency
            in all cases.
        conventions: `timm`: symmetric padding, as timm's own weights require; `tensorflow`: that of
            the published PSLA and of efficientnet_pytorch, see `image_padding`, batch normalisation
            with an epsilon of 1e-3 and a momentum of 0.01, and INIT = imagenet with the weights of
            EfficientNet's authors (AutoAugment).
        drop_path: stochastic depth rate of the last block in training; lower for earlier blocks.
        width_mult: a further factor of the channels, none below 8.
        depth_mult: a further factor of the blocks per stage, at least one.

    Source: Tan & Le, arXiv:1905.11946, by way of timm; on sounds PSLA, Gong et al.,
    arXiv:2102.01243, and CMKD, Gong et al., arXiv:2203.06760.
    Differs: with `timm` the authors' weights (b6 and b7) are padded symmetrically too. Published
    checkpoints of PSLA require `tensorflow` and, but for its comparisons, `attention`; its outputs
    are probabilities, ours their logits.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, 1280 x width), maps: the end of each
    resolution, the last (B, 1280 x width, ceil(T / 32), ceil(F / 32)), or less with `tensorflow`:
    a convolution that was made for an even size rounds half an odd length down.
    Raises ConfigError for an input whose last map would be a single value or none, such as one of
    at most 32 x 32, and for options out of range.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        variant: Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"] = "b0",
        pooling: Literal["mean", "attention", "mean_probability"] = "mean",
        conventions: Literal["timm", "tensorflow"] = "timm",
        drop_path: float = 0.2,
        width_mult: float = 1.0,
        depth_mult: float = 1.0,
    ) -> None:
        super().__init__()
        channels, frames, bands = check_mel_shape("efficientnet", input_shape, frames=1, bands=1)
        check_positive("efficientnet", "width_mult", width_mult)
        check_positive("efficientnet", "depth_mult", depth_mult)
        if not 0 <= drop_path < 1:
            found = f"found {drop_path:g}, expected 0 to less than 1"
            raise ConfigError("efficientnet drop_path", found)
        width, depth, image = VARIANTS[variant]
        tensorflow = conventions == "tensorflow"
        paddings = image_padding(image) if tensorflow else [(k // 2, k // 2) for k in STRIDED]
        last = [last_length(length, paddings) for length in (frames, bands)]
        if min(last) < 1 or max(last) == 1:
            found = (
                f"found {frames} frames x {bands} bands, whose last map is {last[0]} x {last[1]}"
            )
            raise ConfigError(
                "efficientnet", f"{found}: requires longer clips or more bands, such as 64 of both"
            )
        from timm.models.efficientnet import _gen_efficientnet  # the one that takes multipliers

        name = f"efficientnet_{variant}"
        authors = variant in AUTHORS_WEIGHTS
        published = f"tf_{name}.aa_in1k" if tensorflow else f"{'tf_' * authors}{name}"
        self.imagenet = published if width_mult == depth_mult == 1 else ""
        self.features = _gen_efficientnet(
            name,
            width * width_mult,
            depth * depth_mult,
            in_chans=channels,
            num_classes=0,
            global_pool="",
            drop_path_rate=drop_path,
            bn_eps=1e-3 if tensorflow or authors else 1e-5,
            bn_momentum=0.01 if tensorflow else 0.1,
        )
        if tensorflow:
            pad_statically(self.features, paddings)
        embedding = self.features.num_features
        self.of_frames = pooling != "mean"
        self.classifier = POOLINGS[pooling](embedding, num_classes)

    def forward(self, x: Tensor) -> Output:
        layers = self.features
        x = layers.bn1(layers.conv_stem(x))
        maps = []
        for number, stage in enumerate(layers.blocks):
            x = stage(x)
            if number in STAGE_ENDS:
                maps.append(x)
        x = layers.bn2(layers.conv_head(x))
        frames = x.mean(dim=3).transpose(1, 2)
        embedding = frames.mean(dim=1)
        logits = self.classifier(frames if self.of_frames else embedding)
        return Output(logits, embedding, (*maps, x))


def image_padding(size: int) -> list[tuple[int, int]]:
    """The zeros at the start and at the end of both axes, of each convolution of `STRIDED`.

    TensorFlow's SAME padding for square images of this size: where a size is even, one less at the
    start. As in efficientnet_pytorch, inputs of other sizes are padded in the same way.
    """
    paddings = []
    for kernel in STRIDED:
        total = kernel - 2 + size % 2
        paddings.append((total // 2, total - total // 2))
        size = (size + 1) // 2
    return paddings


def last_length(length: int, paddings: Sequence[tuple[int, int]]) -> int:
    """The length of the last map along an axis of the input; less than 1 if it is too short."""
    for kernel, padding in zip(STRIDED, paddings, strict=True):
        length = (length + sum(padding) - kernel) // 2 + 1
    return length


def pad_statically(features: nn.Module, paddings: Sequence[tuple[int, int]]) -> None:
    """Give each convolution with a stride of 2 its padding, the stem first, in place."""
    strided = [
        (name, layer)
        for name, layer in features.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2)
    ]
    for (name, layer), padding in zip(strided, paddings, strict=True):
        features.set_submodule(name, PaddedConvolution(layer, *padding))


class PaddedConvolution(nn.Conv2d):
    """A convolution with the weights of `layer` and `start` and `end` zeros on both axes."""

    def __init__(self, layer: nn.Conv2d, start: int, end: int) -> None:
        sizes = layer.in_channels, layer.out_channels, layer.kernel_size[0], layer.stride[0]
        super().__init__(*sizes, groups=layer.groups, bias=False)
        self.weight = layer.weight
        self.pads = (start, end, start, end)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pads))


class AttentionPooling(nn.Module):
    r"""The attention pooling of PSLA: per class over time, with four heads, as a logit.

    .. math:: p = \sum_h w_h \sum_t \frac{\sigma(a_{ht})}{\sum_u \sigma(a_{hu})} \sigma(c_{ht}),
              \quad \log p - \log (1 - p)

    1 - p is summed from the sigmoids of -c, so it is exact where p is close to 1. Both are clamped
    to at least 1e-7 in float32, as PSLA clamps p before its cross-entropy, so the loss equals that
    of the published system; logits lie within +-16.2. The weights w are learned and need not sum to
    1.

    Source: Gong et al., PSLA, arXiv:2102.01243, section 3.4, and its code.
    Shapes: (B, T, D) -> (B, K).
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.attention = nn.Linear(channels, HEADS * num_classes)
        self.classes = nn.Linear(channels, HEADS * num_classes)
        self.head_weight = nn.Parameter(torch.full((HEADS,), 1 / HEADS))

    def forward(self, frames: Tensor) -> Tensor:
        attention, scores = (
            layer(frames).float().unflatten(2, (HEADS, -1))
            for layer in (self.attention, self.classes)
        )
        attention = attention.sigmoid().clamp(EPSILON, 1 - EPSILON)
        attention = attention / attention.sum(dim=1, keepdim=True)
        heads = self.head_weight.float()
        present, absent = (  # no matrix product: autocast would round it to bfloat16
            (heads[:, None] * (attention * probability).sum(dim=1)).sum(dim=1)
            for probability in (scores.sigmoid(), (-scores).sigmoid())
        )
        return safe_logit(present, absent + (1 - heads.sum()))


class MeanProbability(nn.Linear):
    r"""The mean pooling of PSLA: a mean of probabilities over time, as a logit.

    .. math:: p = \frac{1}{T} \sum_t \sigma(c_t), \quad \log p - \log (1 - p)

    Clamped as in `AttentionPooling`. Source: Gong et al., PSLA, arXiv:2102.01243, and its code.
    Shapes: (B, T, D) -> (B, K).
    """

    def forward(self, frames: Tensor) -> Tensor:
        scores = super().forward(frames).float()
        return safe_logit(scores.sigmoid().mean(dim=1), (-scores).sigmoid().mean(dim=1))


def safe_logit(present: Tensor, absent: Tensor) -> Tensor:
    """The logit of the probability `present`; `absent` is 1 - present. Both are clamped."""
    return present.clamp(EPSILON, 1 - EPSILON).log() - absent.clamp(EPSILON, 1 - EPSILON).log()


POOLINGS = {"mean": nn.Linear, "attention": AttentionPooling, "mean_probability": MeanProbability}
