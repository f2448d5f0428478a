"""MobileNetV2 on mels."""

import torch.nn.functional as F
from torch import Tensor, nn

from config import ConfigError
from models.output import Output
from models.shapes import check_mel_shape, check_positive

STAGE_ENDS = (1, 3, 6, 13, 18)  # the last layer of torchvision's `features` at each resolution


class MobileNetV2(nn.Module):
    """MobileNetV2 on mels, by torchvision, 0.7 to 2.9 million parameters.

    Batch normalisation of the mel, 1x1 convolutions to 10 and 3 channels, torchvision's `features`,
    the maximum over time and frequency, 512 units, ReLU, batch normalisation, classifier.
    2,884,927 parameters for one channel and 8 classes.

    Options:
        width_mult: factor of the channels of the blocks, none below 8 (reached at 0.0277); the 1280
            channels at the end stay. 696,783 parameters at 0.0005.

    Source: Sandler et al., arXiv:1801.04381; stem and head of the published distillation system for
    urban sound tagging.
    Differs: torchvision's unused ImageNet classifier, which that system contains, is left out.
    In training the head normalises a batch of a single clip, which has no variance, by the
    running statistics and does not update them.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, 512), maps: the end of each resolution, the
    last (B, 1280, ceil(T / 32), ceil(F / 32)).
    Raises ConfigError for an input of at most 32 x 32, whose last map would be a single value.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        width_mult: float = 1.0,
    ) -> None:
        super().__init__()
        channels, frames, bands = check_mel_shape("mobilenetv2", input_shape, frames=1, bands=1)
        check_positive("mobilenetv2", "width_mult", width_mult)
        if max(frames, bands) <= 32:
            raise ConfigError(
                "mobilenetv2", f"requires at least 33 frames or bands, found {frames} x {bands}"
            )
        from torchvision.models import MobileNetV2 as TorchvisionMobileNetV2

        self.stem = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, 10, 1),
            nn.ReLU(),
            nn.Conv2d(10, 3, 1),
            nn.ReLU(),
        )
        self.features = TorchvisionMobileNetV2(width_mult=width_mult).features
        self.fc = nn.Linear(self.features[-1].out_channels, 512)
        self.norm = SingleClipBatchNorm(512)
        self.classifier = nn.Linear(512, num_classes)

    def forward(self, x: Tensor) -> Output:
        x = self.stem(x)
        maps = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in STAGE_ENDS:
                maps.append(x)
        embedding = self.norm(F.relu(self.fc(x.amax(dim=(2, 3)))))
        return Output(self.classifier(embedding), embedding, tuple(maps))


class SingleClipBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of (B, D) that uses its running statistics for B = 1."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)
