"""The transformer of consistent ensemble distillation."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from config import ConfigError
from models.output import Output
from models.shapes import check_at_least, check_mel_shape
from models.vision_transformer import (
    DEPTH,
    PATCH,
    SIZES,
    Block,
    encode,
    interpolate_positions,
    linear,
    num_patches,
    random_parameter,
)


class CedTransformer(nn.Module):
    """CED: a transformer on 64 mel bands, 5.5 to 85.7 million parameters.

    A batch normalisation of each band, patches of 16 frames x 16 bands without overlap, separate
    position embeddings of time and frequency, no special token: the embedding is the mean of all
    normalised tokens. At 64 bands and 527 classes: tiny 5.5, mini 9.7, small 21.6 and base 85.7
    million parameters; 1001 frames are 62 x 4 = 248 patches, a fifth of AST's.

    A clip with fewer patches in time than there are position embeddings takes the first ones. A
    longer clip is cut into chunks, the last one filled with zeros after the batch normalisation;
    the probabilities (sigmoid) and embeddings of the chunks are averaged.

    Options:
        size: width and heads; those of `tiny`, `small` and `base` are DeiT's; `micro`, of width
            128, is for a machine without a GPU.
        depth: number of transformer blocks.
        chunk_frames: the longest input of the transformer in frames; 0: the length of a clip.
            Published checkpoints have 1012, and so 63 position embeddings in time.

    Source: Dinkel et al., ICASSP 2024, arXiv:2308.11957, and its code, whose published weights can
    be loaded, see `models.published`.
    Differs: a clip of exactly n chunks has n; the published code drops the last one. The logits of
    several chunks are those of the mean probability.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, D), four maps (B, D, T', F'), at every
    quarter of the depth, T' = T // 16, F' = F // 16. The maps of chunks follow one another in time.
    Raises ConfigError for fewer than 16 frames or bands and for options out of range.
    """

    family = "transformer"

    def __init__(
        self,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        size: Literal["micro", "tiny", "mini", "small", "base"] = "base",
        depth: int = DEPTH,
        chunk_frames: int = 0,
    ) -> None:
        super().__init__()
        channels, frames, bands = check_mel_shape("ced", input_shape, frames=PATCH, bands=PATCH)
        check_at_least("ced", 1, depth=depth)
        self.chunk_frames = chunk_frames or frames
        if self.chunk_frames < PATCH:
            found = f"found {chunk_frames}, expected 0 or at least {PATCH}"
            raise ConfigError("ced chunk_frames", found)
        width = SIZES[size].width
        self.band_norm = nn.BatchNorm2d(bands, momentum=0.01)
        self.patch_embed = nn.Conv2d(channels, width, PATCH, PATCH)
        self.time_positions = random_parameter(num_patches(self.chunk_frames, PATCH), width)
        self.frequency_positions = random_parameter(num_patches(bands, PATCH), width)
        self.blocks = nn.ModuleList(Block(*SIZES[size]) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.classifier = nn.Sequential(nn.LayerNorm(width), linear(width, num_classes))

    def forward(self, x: Tensor) -> Output:
        x = self.band_norm(x.transpose(1, 3)).transpose(1, 3)
        chunks = split(x, self.chunk_frames)
        count = chunks.shape[1]
        x = self.patch_embed(chunks.flatten(0, 1)).permute(0, 2, 3, 1)
        times = interpolate_positions(self.time_positions, 0, x.shape[1], 0)
        _, maps = encode(self.blocks, None, x + self.frequency_positions + times[:, None])
        tokens = maps[-1].flatten(2).transpose(1, 2)
        embedding = self.norm(tokens).mean(dim=1)
        logits = mean_probability(self.classifier(embedding).unflatten(0, (-1, count)))
        maps = tuple(m.unflatten(0, (-1, count)).transpose(1, 2).flatten(2, 3) for m in maps)
        return Output(logits, embedding.unflatten(0, (-1, count)).mean(dim=1), maps)


def split(x: Tensor, longest: int) -> Tensor:
    """Chunks of a clip, as long as the clip or `longest`, the last one filled with zeros.

    Without branches, so an exported graph accepts any length.
    Shapes: (B, C, T, F) -> (B, N, C, min(T, longest), F).
    """
    frames = x.shape[2]
    length = torch.sym_min(frames, longest)
    count = (frames + length - 1) // length
    steps = torch.arange(count * length, device=x.device)
    x = x.index_select(2, steps.clamp(max=frames - 1)) * (steps < frames)[:, None]
    return x.unflatten(2, (count, length)).transpose(1, 2)


def mean_probability(logits: Tensor) -> Tensor:
    """The logits of the mean of probabilities, ln(sum p / sum (1 - p)): (B, N, K) -> (B, K)."""
    # ln p = -softplus(-logits); exporters write logsigmoid as the logarithm of a sigmoid: infinite.
    return (-F.softplus(-logits)).logsumexp(1) - (-F.softplus(logits)).logsumexp(1)
