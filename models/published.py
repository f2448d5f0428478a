"""Weights from files: our own, and those of published checkpoints under their own names."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from config import UserError

VGGISH_CONVOLUTIONS = {
    "features.0": "conv1.0",
    "features.3": "conv2.0",
    "features.6": "conv3_1.0",
    "features.8": "conv3_2.0",
    "features.11": "conv4_1.0",
    "features.13": "conv4_2.0",
}

DCASE_NAMES = (  # layer1_conv1.0.weight … new_fc1.0.weight … final.0.weight
    (re.compile(r"^layer\d+_(conv\w+)\."), r"\1."),
    (re.compile(r"^new_(fc\d)\.0\."), r"\1."),
    (re.compile(r"^final\.0\."), "classifier."),
)

RAW_RESNET_NAMES = (  # first_conv.weight … block0.conv_downsample.weight … fc2.weight
    (re.compile(r"^first_conv\."), "stem.0."),
    (re.compile(r"^first_bn\."), "stem.1."),
    (re.compile(r"^block(\d)\.conv_downsample\."), r"blocks.\1.projection."),
    (re.compile(r"^block(\d)\.conv(\d)\."), r"blocks.\1.conv\2."),
    (re.compile(r"^block(\d)\.bn(\d)\."), r"blocks.\1.norm\2."),
    (re.compile(r"^last_conv\."), "last.0."),
    (re.compile(r"^last_bn\."), "last.1."),
    (re.compile(r"^fc1\."), "fc."),
    (re.compile(r"^fc2\."), "classifier."),
)


def load_published(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Fill a model from our own state dict or a published one, whole or not at all.

    Known are the names of VGGish as torchvggish has them (for dcase_net; its convolutions alone are
    taken), of the published urban sound tagging system (for dcase_net and dcase_small; whole, or
    convolutions alone) and of the published specialist system (for raw_resnet). Raises UserError
    that names each tensor that is missing, unexpected, or of another shape, and changes nothing
    then.
    """
    weights = translate(state_dict)
    wanted = model.state_dict()
    if weights.keys() != state_dict.keys() and all(name.startswith("conv") for name in weights):
        wanted = {name: tensor for name, tensor in wanted.items() if name.startswith("conv")}
    misfits = [f"{name} is missing" for name in wanted if name not in weights]
    misfits += [f"{name} is unexpected" for name in weights if name not in wanted]
    misfits += [
        f"{name} is {shape(weights[name])}, want {shape(tensor)}"
        for name, tensor in wanted.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if misfits:
        raise UserError(f"the weights do not fit {type(model).__name__}: {'; '.join(misfits)}")
    model.load_state_dict(weights, strict=False)


def translate(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published names to ours; names that are not published stay as they are."""
    if all(f"{name}.weight" in state_dict for name in VGGISH_CONVOLUTIONS):
        return {
            f"{ours}.{kind}": state_dict[f"{theirs}.{kind}"]
            for theirs, ours in VGGISH_CONVOLUTIONS.items()
            for kind in ("weight", "bias")
            if f"{theirs}.{kind}" in state_dict
        }
    names = RAW_RESNET_NAMES if "first_conv.weight" in state_dict else DCASE_NAMES
    return {renamed(name, names): tensor for name, tensor in state_dict.items()}


def renamed(name: str, names: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for pattern, ours in names:
        name = pattern.sub(ours, name)
    return name


def shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def read_weights(path: Path) -> dict[str, Tensor]:
    """The named tensors of a .safetensors file or of a state dict that torch.save wrote.

    A pickle that holds anything but tensors is refused unread, since reading it could run its code.
    Raises UserError for a file that is missing, damaged, refused or no state dict.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of weights")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged file can raise almost anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path}: cannot be read as weights: {reason}") from error
    if not isinstance(weights, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in weights.items()
    ):
        raise UserError(f"{path}: want a state dict, tensors by their names, found something else")
    return dict(weights)
