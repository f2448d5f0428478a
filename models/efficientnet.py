"""EfficientNet on mels."""

from typing import Literal

import torch
from torch import Tensor, nn

from config import ConfigError
from models.output import Output
from models.shapes import check_mel_shape, check_positive

VARIANTS = {  # width and depth
    "b0": (1.0, 1.0),
    "b1": (1.0, 1.1),
    "b2": (1.1, 1.2),
    "b3": (1.2, 1.4),
    "b4": (1.4, 1.8),
    "b5": (1.6, 2.2),
    "b6": (1.8, 2.6),
    "b7": (2.0, 3.1),
}
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
        pooling: `mean` over time and frequency, then a linear layer; or the `attention` of PSLA,
            see `AttentionPooling`. The embedding is the mean in both cases.
        drop_path: stochastic depth rate of the last block in training; lower for earlier blocks.
        width_mult: a further factor of the channels, none below 8.
        depth_mult: a further factor of the blocks per stage, at least one.

    Source: Tan & Le, arXiv:1905.11946, by way of timm; on sounds PSLA, Gong et al.,
    arXiv:2102.01243, and CMKD, Gong et al., arXiv:2203.06760.
    Differs: convolutions are padded symmetrically, as timm's own weights require; those of the
    published systems, and of the authors' weights (b6 and b7), have one less at the start of an
    axis of even length. The `mean` of PSLA is of probabilities.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, 1280 x width), maps: the end of each
    resolution, the last (B, 1280 x width, ceil(T / 32), ceil(F / 32)).
    Raises ConfigError for an input of at most 32 x 32, whose last map would be a single value, and
    for options out of range.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        variant: Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"] = "b0",
        pooling: Literal["mean", "attention"] = "mean",
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
        if max(frames, bands) <= 32:
            raise ConfigError(
                "efficientnet", f"requires at least 33 frames or bands, found {frames} x {bands}"
            )
        from timm.models.efficientnet import _gen_efficientnet  # the one that takes multipliers

        width, depth = VARIANTS[variant]
        name = f"efficientnet_{variant}"
        tensorflow = variant in AUTHORS_WEIGHTS
        published = width_mult == depth_mult == 1
        self.imagenet = ("tf_" if tensorflow else "") + name if published else ""
        self.features = _gen_efficientnet(
            name,
            width * width_mult,
            depth * depth_mult,
            in_chans=channels,
            num_classes=0,
            global_pool="",
            drop_path_rate=drop_path,
            bn_eps=1e-3 if tensorflow else 1e-5,
        )
        embedding = self.features.num_features
        self.attention_pooling = pooling == "attention"
        self.classifier = (
            AttentionPooling(embedding, num_classes)
            if self.attention_pooling
            else nn.Linear(embedding, num_classes)
        )

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
        logits = self.classifier(frames if self.attention_pooling else embedding)
        return Output(logits, embedding, (*maps, x))


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
        present, absent = (
            self.head_weight @ (attention * probability).sum(dim=1)
            for probability in (scores.sigmoid(), (-scores).sigmoid())
        )
        absent = absent + (1 - self.head_weight.sum())
        return present.clamp(EPSILON, 1 - EPSILON).log() - absent.clamp(EPSILON, 1 - EPSILON).log()
