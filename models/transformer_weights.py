"""Published weights of transformers: AST, PaSST, CED, and DeiT by the names of timm.

Source: the published code of each model, see `models.ast`, `models.passt` and `models.ced`.
"""

import math
import re
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from config import UserError
from models.tensor_names import rename, rename_all

TRANSFORMER_NAMES = (  # module.v.blocks.0.attn.qkv.weight … mlp_head.1.weight, net.head.1.weight
    (re.compile(r"^(module\.)?(v\.)?"), ""),
    (re.compile(r"^(model\.)?(net\.)?"), ""),
    (re.compile(r"^patch_embed\.proj\."), "patch_embed."),
    (re.compile(r"^(mlp_)?head\.(\d)\."), r"classifier.\2."),
)
CED_NAMES = (  # init_bn.1.weight … outputlayer.1.weight; encoder.init_bn.weight on Hugging Face
    (re.compile(r"^encoder\."), ""),
    (re.compile(r"^init_bn\.(1\.)?"), "band_norm."),
    (re.compile(r"^patch_embed\.proj\."), "patch_embed."),
    (re.compile(r"^outputlayer\."), "classifier."),
)
CED_POSITIONS = {"time_pos_embed": "time_positions", "freq_pos_embed": "frequency_positions"}
AST_BANDS = {  # number of patches -> those in frequency, of the published checkpoints
    1212: 12,  # 1024 frames, strides of 10
    850: 10,  # 12
    657: 9,  # 14
    512: 8,  # 16
    600: 12,  # 512 frames, strides of 10
}
AST_GRID = 101, 12  # patches of 1024 frames and 128 bands, strides of 10
AST_REMEDY = (  # AST appends zeros after the logarithm to the 998 frames of 10 s
    "its clips were 1024 frames long; for clips of 10 s, set [data] CLIP_SECONDS = 10.255 "
    "and [mel] PADDING = log_zero"
)
PASST_POSITIONS = {
    "time_positions": (
        "time",
        "STRIDE_TIME, TIME_PATCHES, CHUNK_FRAMES or the length of the clips",
    ),
    "frequency_positions": ("frequency", "STRIDE_FREQUENCY or the bands"),
}


def is_transformer(state_dict: Mapping[str, Tensor]) -> bool:
    """Whether these are the names of AST, PaSST or DeiT."""
    return any(name.endswith("patch_embed.proj.weight") for name in state_dict)


def translate_transformer(
    state_dict: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Translate AST, PaSST or timm's DeiT, without ImageNet's classifiers and PaSST's second one.

    Their spectrograms are images with frequency as height and time as width. Raises UserError for
    a missing tensor that all of them have, and for position embeddings that form no grid.
    """
    weights = rename_all(state_dict, TRANSFORMER_NAMES)
    weights = {name: t for name, t in weights.items() if not re.match(r"head(_dist)?\.", name)}
    try:
        special = torch.cat((weights.pop("cls_token")[0], weights.pop("dist_token")[0]))
        if "time_new_pos_embed" in weights:
            first = weights.pop("new_pos_embed")[0]
            positions = {
                "time_positions": weights.pop("time_new_pos_embed")[0, :, 0].T,
                "frequency_positions": weights.pop("freq_new_pos_embed")[0, :, :, 0].T,
            }
        else:
            first, patches = weights.pop("pos_embed")[0].tensor_split([2])
            on_audio = "classifier.1.weight" in weights
            grid = positions_grid(patches, own, on_audio)
            split = "time_positions" in own and not on_audio
            positions = split_positions(grid, own) if split else {"positions": grid}
    except KeyError as error:
        raise UserError(f"{error} is missing, which AST, PaSST and a distilled DeiT have") from None
    weights["patch_embed.weight"] = weights["patch_embed.weight"].transpose(2, 3)
    return weights | positions | {"special_tokens": special + first}


def positions_grid(patches: Tensor, own: Mapping[str, Tensor], on_audio: bool) -> Tensor:
    """Position embeddings of AST (`on_audio`) or of a square image as (T', F', D)."""
    if on_audio:
        rows = own["positions"].shape[1] if "positions" in own else 0
        candidates = [AST_BANDS.get(len(patches), 0), rows, 12]
    else:
        candidates = [math.isqrt(len(patches))]
    bands = next((n for n in candidates if n and len(patches) % n == 0), None)
    if bands is None:
        raise UserError(
            f"its {len(patches)} positions do not form a grid of {candidates[-1]} bands"
        )
    return patches.unflatten(0, (bands, -1)).transpose(0, 1)


def split_positions(grid: Tensor, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Position embeddings of an image as separate ones of time and frequency.

    As in PaSST's published code: interpolated to the new size, then averaged over the other axis.
    """
    size = len(own["time_positions"]), len(own["frequency_positions"])
    image = grid.permute(2, 0, 1)[None]
    resized = F.interpolate(image, size, mode="bicubic")[0].permute(1, 2, 0)
    return {"time_positions": resized.mean(1), "frequency_positions": resized.mean(0)}


def is_ced(state_dict: Mapping[str, Tensor]) -> bool:
    return "outputlayer.1.weight" in state_dict


def translate_ced(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate CED, without the tables of its front end; time is the width of its images."""
    weights = {
        rename(name, CED_NAMES): tensor
        for name, tensor in state_dict.items()
        if not name.startswith("front_end.")
    }
    if (patches := weights.get("patch_embed.weight")) is not None:
        weights["patch_embed.weight"] = patches.transpose(2, 3)
    for theirs, ours in CED_POSITIONS.items():
        if theirs in weights:  # (1, D, 1, T') and (1, D, F', 1)
            weights[ours] = weights.pop(theirs)[0].flatten(1).T
    return weights


def describe_mismatch(name: str, found: Sequence[int], expected: Sequence[int]) -> str:
    """The message for a tensor of another shape; for position embeddings, with the remedy."""
    if name == "positions" and found[-1] == expected[-1]:
        remedy = (
            "set STRIDE_TIME, STRIDE_FREQUENCY, the length of the clips or the bands to those that "
            "it was trained with"
        )
        if tuple(found[:2]) == AST_GRID and expected[1] == AST_GRID[1]:
            remedy = AST_REMEDY
        return (
            f"its positions are {shape(found[:2])} patches (time x frequency), this model's "
            f"{shape(expected[:2])}: {remedy}"
        )
    if name in PASST_POSITIONS and found[-1] == expected[-1]:
        axis, remedy = PASST_POSITIONS[name]
        return (
            f"its positions in {axis} are {found[0]}, this model's {expected[0]}: set {remedy} to "
            "those that it was trained with"
        )
    return f"{name} is {shape(found)}, expected {shape(expected)}"


def shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes)) or "a scalar"
