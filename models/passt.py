"""The patchout spectrogram transformer."""

from typing import Literal

import torch
from torch import Tensor, nn

from config import ConfigError
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


class PatchoutTransformer(nn.Module):
    """PaSST: a transformer with patchout, 5.5 to 85.7 million parameters.

    As AST (see `models.ast`), but the position embeddings of time and frequency are separate and
    added, and some patches are dropped at random in training (patchout), which regularises and
    shortens the sequence. At 128 bands and 527 classes: tiny 5.5, small 21.6 and base 85.7 million
    parameters.

    A clip with fewer patches in time than there are position embeddings takes a random range of
    them in training, sampled per batch, and the first ones in evaluation. So a model of 10-s clips
    can be fine-tuned on clips of 1 s with all its position embeddings (time_patches = 99).

    Options:
        size: width and heads as in DeiT; `micro`, of width 128, is for a machine without a GPU.
        depth: number of transformer blocks; 7 in the published light model.
        stride_time: frames from one patch to the next.
        stride_frequency: bands from one patch to the next.
        time_patches: number of position embeddings in time; 0: as many as a clip has patches.
            Published checkpoints have frames // stride_time, one more than there are patches in 998
            frames at a stride of 12 (83) and in 20 and 30 s (200 and 300).
        patchout_time: columns to drop (structured patchout).
        patchout_frequency: rows to drop (structured patchout).
        patchout: of the remaining patches, how many to drop (unstructured patchout). Published on
            AudioSet: 40 of 99 columns and 4 of 12 rows, which keeps 472 of 1188 patches.

    Source: Koutini et al., Interspeech 2022, arXiv:2110.05069, and its code, whose published
    weights can be loaded, see `models.published`; DeiT, arXiv:2012.12877.
    Differs: a special token and its position embedding are one parameter. The second classifier,
    whose output is not used there, is left out. For a longer clip in evaluation the position
    embeddings are interpolated, as in AST; the published code crops the clip.
    Shapes: (B, C, T, F) -> logits (B, K), embedding (B, D), four maps (B, D, T', F') as in AST. In
    training the maps have fewer columns and rows, or, with `patchout`, are (B, N, D).
    Raises ConfigError for fewer than 16 frames or bands, for options out of range and if patchout
    would drop all patches.
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
        time_patches: int = 0,
        patchout_time: int = 0,
        patchout_frequency: int = 0,
        patchout: int = 0,
    ) -> None:
        super().__init__()
        channels, frames, bands = check_mel_shape("passt", input_shape, frames=PATCH, bands=PATCH)
        check_at_least("passt", 1, depth=depth)
        check_at_least("passt", 1, stride_time=stride_time, stride_frequency=stride_frequency)
        columns, rows = num_patches(frames, stride_time), num_patches(bands, stride_frequency)
        if time_patches and time_patches < columns:
            found = f"found {time_patches}, expected 0 or at least the {columns} of a clip"
            raise ConfigError("passt time_patches", found)
        check_patchout(columns, rows, patchout_time, patchout_frequency, patchout)
        self.patchout_time, self.patchout_frequency = patchout_time, patchout_frequency
        self.patchout = patchout
        width = SIZES[size].width
        self.imagenet = IMAGENET.get(size, "") if depth == DEPTH else ""
        self.patch_embed = nn.Conv2d(channels, width, PATCH, (stride_time, stride_frequency))
        self.special_tokens = random_parameter(2, width)
        self.time_positions = random_parameter(time_patches or columns, width)
        self.frequency_positions = random_parameter(rows, width)
        self.blocks = nn.ModuleList(Block(*SIZES[size]) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.classifier = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, num_classes))

    def forward(self, x: Tensor) -> Output:
        x = self.patch_embed(x).permute(0, 2, 3, 1)
        x = x + self.frequency_positions + self.time_positions_of(x.shape[1])[:, None]
        if self.training:
            x = drop_random(drop_random(x, 1, self.patchout_time), 2, self.patchout_frequency)
            if self.patchout:
                x = drop_random(x.flatten(1, 2), 1, self.patchout)
        special, maps = encode(self.blocks, self.special_tokens, x)
        embedding = self.norm(special).mean(dim=1)
        return Output(self.classifier(embedding), embedding, maps)

    def time_positions_of(self, columns: int) -> Tensor:
        """The position embeddings in time of a clip: (T', D)."""
        first: int | Tensor = 0
        if self.training:
            spare = len(self.time_positions) - columns
            first = torch.randint(spare + 1, (), device=self.time_positions.device)
        return interpolate_positions(self.time_positions, 0, columns, first)


def check_patchout(columns: int, rows: int, time: int, frequency: int, rest: int) -> None:
    """Raises ConfigError for negative values, and if no patch would be left."""
    check_at_least("passt", 0, patchout_time=time, patchout_frequency=frequency, patchout=rest)
    left = max(columns - time, 0) * max(rows - frequency, 0)
    if left <= rest:
        raise ConfigError(
            "passt patchout",
            f"found {rest}, patchout_time {time} and patchout_frequency {frequency}: of "
            f"{columns} x {rows} patches (time x frequency) none would be left",
        )


def drop_random(x: Tensor, axis: int, dropped: int) -> Tensor:
    """`x` without `dropped` random indices of an axis; the rest keeps its order."""
    if not dropped:
        return x
    size = x.shape[axis]
    kept = torch.randperm(size, device=x.device)[: size - dropped]
    return x.index_select(axis, kept.sort().values)
