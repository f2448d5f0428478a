"""Published weights of PSLA, an EfficientNet by the names of efficientnet_pytorch.

Source: Gong et al., PSLA, arXiv:2102.01243, and its code; efficientnet_pytorch.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

STEM = "effnet._conv_stem.weight"
LAYERS = {
    "effnet._conv_stem": "features.conv_stem",
    "effnet._bn0": "features.bn1",
    "effnet._conv_head": "features.conv_head",
    "effnet._bn1": "features.bn2",
}
BLOCK = re.compile(r"effnet\._blocks\.(\d+)\._(\w+)")
BLOCK_LAYERS = {
    "expand_conv": "conv_pw",
    "bn0": "bn1",
    "depthwise_conv": "conv_dw",
    "bn1": "bn2",
    "se_reduce": "se.conv_reduce",
    "se_expand": "se.conv_expand",
    "project_conv": "conv_pwl",
    "bn2": "bn3",
}
FIRST_LAYERS = BLOCK_LAYERS | {  # of the blocks that do not expand their channels
    "bn1": "bn1",
    "project_conv": "conv_pw",
    "bn2": "bn2",
}
HEADS_LAYER = re.compile(r"attention\.(att|cla)(\.\d)?")  # attention.att.3; attention.cla of a mean
HEADS = {"att": "classifier.attention", "cla": "classifier.classes"}


def is_psla(state_dict: Mapping[str, Tensor]) -> bool:
    return STEM in state_dict


def translate_psla(
    state_dict: Mapping[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """By the names of `efficientnet`, whose state dict is `own`; unknown names stay.

    Its images have time as width. Its blocks are numbered throughout, ours by stage. The 1x1
    convolutions of its heads, one after another, are one linear layer; the classifier of ImageNet
    is left out.
    """
    found = (re.match(r"features\.blocks\.\d+\.\d+", name) for name in own)
    blocks = list(dict.fromkeys(block[0] for block in found if block))
    weights: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        layer, _, kind = name.rpartition(".")
        if layer == "effnet._fc":
            continue
        if tensor.ndim == 4:
            tensor = tensor.transpose(2, 3)
        if head := HEADS_LAYER.fullmatch(layer):
            ours = f"{HEADS[head[1]] if head[2] else 'classifier'}.{kind}"
            tensor = tensor.flatten(1) if tensor.ndim == 4 else tensor
            tensor = torch.cat((weights[ours], tensor)) if ours in weights else tensor
        elif (block := BLOCK.fullmatch(layer)) and int(block[1]) < len(blocks):
            expands = f"effnet._blocks.{block[1]}._expand_conv.weight" in state_dict
            names = BLOCK_LAYERS if expands else FIRST_LAYERS
            ours = f"{blocks[int(block[1])]}.{names.get(block[2], block[2])}.{kind}"
        elif name == "attention.head_weight":
            ours = "classifier.head_weight"
        else:
            ours = f"{LAYERS.get(layer, layer)}.{kind}"
        weights[ours] = tensor
    return weights
