"""The audio spectrogram transformer."""

from typing import Literal

from torch import Tensor, nn

from models.output import Output
from models.shapes import check_at_least, check_mel_shape
from models.vision_transformer import (
    DEPTH,
    IMAGENET,
    PATCH,
    SIZES,
    Block,
    encode,
    interpolate_positions,
    num_patches,
    random_parameter,
)


class SpectrogramTransformer(nn.Module):
    """AST: a transformer on mel patches, 5.7 to 86.6 million parameters.

    Overlapping patches of 16 frames x 16 bands are embedded as tokens and position embeddings are
    added. A class and a distillation token are prepended; after the last block the mean of these
    two is normalised and classified. At the published settings, 128 bands and 527 classes: tiny
    5.7, small 22.1 and base 86.6 million parameters; 1024 frames are 101 x 12 = 1212 patches, 1000
    frames 99 x 12.

    Clips of any length: with fewer patches in time than in training, the position embeddings are
    cropped to the middle, with more, they are interpolated (see `models.vision_transformer`).
    Frames and bands at the end that do not fill a patch are ignored.

    Options:
        size: width and heads as in DeiT; `micro`, of width 128, is for a machine without a GPU.
        depth: number of transformer blocks.
        stride_time: frames from one patch to the next.
        stride_frequency: bands from one patch to the next.

    Source: Gong et al., arXiv:2104.01778, and its code, whose published weights can be loaded, see
    `models.published`; DeiT, arXiv:2012.12877.
    Differs: a special token and its position embedding are one parameter.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, D), four maps (B, D, T', F'), at every
    quarter of the depth, T' = (T - 16) // stride_time + 1, likewise F'.
    Raises ConfigError for fewer than 16 frames or bands and for options out of range.
    """

    family = "transformer"

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        size: Literal["micro", "tiny", "small", "base"] = "base",
        depth: int = DEPTH,
        stride_time: int = 10,
        stride_frequency: int = 10,
    ) -> None:
        super().__init__()
        channels, frames, bands = check_mel_shape("ast", input_shape, frames=PATCH, bands=PATCH)
        check_at_least("ast", 1, depth=depth)
        check_at_least("ast", 1, stride_time=stride_time, stride_frequency=stride_frequency)
        width = SIZES[size].width
        self.imagenet = IMAGENET.get(size, "") if depth == DEPTH else ""
        self.patch_embed = nn.Conv2d(channels, width, PATCH, (stride_time, stride_frequency))
        self.special_tokens = random_parameter(2, width)
        self.positions = random_parameter(
            num_patches(frames, stride_time), num_patches(bands, stride_frequency), width
        )
        self.blocks = nn.ModuleList(Block(*SIZES[size]) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.classifier = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, num_classes))

    def forward(self, x: Tensor) -> Output:
        x = self.patch_embed(x).permute(0, 2, 3, 1)
        x = x + interpolate_positions(self.positions, 0, x.shape[1])
        special, maps = encode(self.blocks, self.special_tokens, x)
        embedding = self.norm(special).mean(dim=1)
        return Output(self.classifier(embedding), embedding, maps)
