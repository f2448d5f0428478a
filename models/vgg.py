"""The network of dcase_net and dcase_small: six convolutions in four stages and a small head."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from config import ConfigError
from models.output import Output
from models.shapes import check_mel_shape, check_positive, scale_channels


class Vgg(nn.Module):
    """3x3 convolutions with ReLU, 2x2 max pooling, maximum over time, three linear layers.

    `stages` are the channels of conv1, conv2, conv3_1 = conv3_2 and conv4_1 = conv4_2; `head` the
    sizes of fc1 and fc2. All are multiplied by `width_mult`, and none is less than 8. With
    `batch_norm` each convolution is without bias, initialised as by He et al., and followed by
    batch normalisation. `dropout` is the dropout rate of the embedding before the classifier.

    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, head[1]) after fc2, maps: the end of each
    stage, the last (B, stages[3], T // 8, F // 8).
    Raises ConfigError for fewer than 8 frames or bands and for options out of range.
    """

    def __init__(
        self,
        *,
        name: str,
        stages: Sequence[int],
        head: Sequence[int],
        num_classes: int,
        input_shape: tuple[int, int, int],
        width_mult: float,
        batch_norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        channels, frames, bands = check_mel_shape(name, input_shape, frames=8, bands=8)
        check_positive(name, "width_mult", width_mult)
        if not 0 <= dropout < 1:
            raise ConfigError(f"{name} dropout", f"found {dropout:g}, expected 0 to less than 1")
        if batch_norm and (frames // 8) * (bands // 8) == 1:
            raise ConfigError(
                f"{name} batch_norm", f"requires 16 frames or bands, found {frames} x {bands}"
            )
        c1, c2, c3, c4 = (scale_channels(n, width_mult) for n in stages)
        h1, h2 = (scale_channels(n, width_mult) for n in head)
        self.conv1 = convolution(channels, c1, batch_norm)
        self.conv2 = convolution(c1, c2, batch_norm)
        self.conv3_1 = convolution(c2, c3, batch_norm)
        self.conv3_2 = convolution(c3, c3, batch_norm)
        self.conv4_1 = convolution(c3, c4, batch_norm)
        self.conv4_2 = convolution(c4, c4, batch_norm)
        self.fc1 = nn.Linear(c4 * (bands // 8), h1)
        self.fc2 = nn.Linear(h1, h2)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(h2, num_classes)

    def forward(self, x: Tensor) -> Output:
        stage1 = self.conv1(x)
        stage2 = self.conv2(F.max_pool2d(stage1, 2))
        stage3 = self.conv3_2(self.conv3_1(F.max_pool2d(stage2, 2)))
        stage4 = self.conv4_2(self.conv4_1(F.max_pool2d(stage3, 2)))
        pooled = stage4.amax(dim=2).flatten(start_dim=1)
        embedding = F.relu(self.fc2(F.relu(self.fc1(pooled))))
        logits = self.classifier(self.dropout(embedding))
        return Output(logits, embedding, (stage1, stage2, stage3, stage4))


def convolution(channels_in: int, channels_out: int, batch_norm: bool) -> nn.Sequential:
    """3x3 convolution that keeps the size, optional batch normalisation, ReLU."""
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=not batch_norm)
    if not batch_norm:
        return nn.Sequential(conv, nn.ReLU())
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out), nn.ReLU())
