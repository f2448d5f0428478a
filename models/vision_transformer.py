"""Building blocks of spectrogram transformers: sizes, patches, position embeddings, blocks."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 16  # frames and bands
DEPTH = 12  # blocks of every published size
MAPS = 4


class Size(NamedTuple):
    width: int  # of a token
    heads: int  # of 64 each


SIZES = {
    "micro": Size(128, 2),
    "tiny": Size(192, 3),
    "mini": Size(256, 4),
    "small": Size(384, 6),
    "base": Size(768, 12),
}
"""Those of DeiT, Touvron et al., arXiv:2012.12877; mini, of CED; and a smaller one, micro."""

IMAGENET = {  # timm's name of the ImageNet weights, for the published depth
    "tiny": "deit_tiny_distilled_patch16_224",
    "small": "deit_small_distilled_patch16_224",
    "base": "deit_base_distilled_patch16_384",
}


def num_patches(length: int, stride: int) -> int:
    """The number of patches along an axis of `length` frames or bands."""
    return (length - PATCH) // stride + 1


def interpolate_positions(
    positions: Tensor, axis: int, length: int, first: int | Tensor | None = None
) -> Tensor:
    """Position embeddings for another number of patches along an axis.

    Fewer patches: a crop from `first` on, or the middle. More: linear interpolation. As AST adapts
    the position embeddings of ImageNet. Without branches, so an exported graph accepts any length.
    """
    found = positions.shape[axis]
    offset: Any = torch.sym_max(found // 2 - length // 2, 0) if first is None else first
    scale = found / torch.sym_max(length, found)
    steps: Tensor = torch.arange(length, device=positions.device)
    index = ((steps.float() + 0.5) * scale - 0.5 + offset).clamp(0, found - 1)
    below = index.long()
    above = (below + 1).clamp(max=found - 1)
    weight = (index - below).to(positions).view(-1, *[1] * (positions.ndim - axis - 1))
    lower, upper = (positions.index_select(axis, index) for index in (below, above))
    return lower * (1 - weight) + upper * weight


def encode(
    blocks: nn.ModuleList, special_tokens: Tensor | None, patches: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The special tokens after all blocks, and the patches after each quarter of them as maps.

    Shapes: special tokens (S, D), patches (B, T, F, D) -> (B, S, D), maps (B, D, T, F). Patches
    without a grid, (B, N, D), give maps (B, N, D).
    """
    clips, *grid, _ = patches.shape
    x, special = patches.flatten(1, -2), 0
    if special_tokens is not None:
        special = len(special_tokens)
        x = torch.cat((special_tokens.expand(clips, -1, -1), x), dim=1)
    ends = map_ends(len(blocks))
    maps = []
    for number, block in enumerate(blocks, 1):
        x = block(x)
        if number in ends:
            maps.append(x[:, special:].unflatten(1, grid))
    if len(grid) == 2:
        maps = [tokens.permute(0, 3, 1, 2) for tokens in maps]
    return x[:, :special], tuple(maps)


def map_ends(depth: int) -> set[int]:
    """The last block of each quarter, counted from 1."""
    return {-(-depth * quarter // MAPS) for quarter in range(1, MAPS + 1)}


class Block(nn.Module):
    """Pre-norm attention and MLP with residual connections.

    Source: Dosovitskiy et al., arXiv:2010.11929; the parameter names are timm's.
    Shapes: (B, N, D) -> (B, N, D).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Attention(nn.Module):
    """Multi-head self-attention. Shapes: (B, N, D) -> (B, N, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = linear(width, 3 * width)
        self.proj = linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with GELU, four times as wide inside. Shapes: (B, N, D) -> (B, N, D)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = linear(width, 4 * width)
        self.fc2 = linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


def linear(size_in: int, size_out: int) -> nn.Linear:
    layer = nn.Linear(size_in, size_out)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def random_parameter(*shape: int) -> nn.Parameter:
    """Randomly initialised tokens or position embeddings."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=0.02))
