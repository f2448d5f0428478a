"""Initial weights: from ImageNet, or from a model with other classes or clip lengths."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from config import ConfigError, UserError, reason_of
from models.ast import SpectrogramTransformer
from models.ced import CedTransformer
from models.output import CLASSIFIER
from models.passt import PatchoutTransformer
from models.published import fill, to_model_names
from models.vision_transformer import interpolate_positions

IMAGENET = "imagenet"
TIMM_NAMES = ("conv_stem.weight", "patch_embed.proj.weight")
PASST_NAME = "time_new_pos_embed"  # in PaSST checkpoints, which have timm's names too
FIRST_LAYERS = {"features.conv_stem.weight", "patch_embed.weight"}
POSITIONS = {"positions": None, "frequency_positions": None, "time_positions": 0}
"""Position embeddings of transformers -> where the crop for shorter clips starts; None: middle."""


def imagenet_weights(model: nn.Module) -> dict[str, Tensor]:
    """The ImageNet weights of timm's model `model.imagenet`.

    Raises ConfigError for a model without such weights, UserError if they cannot be downloaded.
    """
    name = getattr(model, "imagenet", "")
    if not name:
        raise ConfigError(
            "init",
            f"found {IMAGENET!r}, but there are no such weights for {type(model).__name__} "
            "with these options",
        )
    try:
        import timm

        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # timm and the hub can raise anything
        reason = reason_of(error)
        raise UserError(
            f"the ImageNet weights {name} cannot be downloaded: {reason}. Where timm can, "
            f"torch.save(timm.create_model({name!r}, pretrained=True).state_dict(), FILE), and set "
            "INIT to that file; or leave INIT empty for random weights"
        ) from error


def is_imagenet(model: nn.Module, state_dict: Mapping[str, Tensor]) -> bool:
    """Whether a state dict for `model` is from ImageNet, by its timm names."""
    timm_names = not state_dict.keys().isdisjoint(TIMM_NAMES) and PASST_NAME not in state_dict
    return hasattr(model, "imagenet") and timm_names


def load_backbone(
    model: nn.Module, state_dict: Mapping[str, Tensor], colours: Literal["sum", "average"] = "sum"
) -> None:
    """Load its own or published weights into a model, except the classifier.

    The first layer of ImageNet weights is reduced to the sum of the three colours (as if the mel
    were repeated in each) or their average, divided among the channels. Position embeddings are
    cropped or interpolated along time and frequency: see `POSITIONS` and
    `models.vision_transformer.interpolate_positions`. Raises UserError as `load_all` does.
    """
    own = model.state_dict()
    weights = to_model_names(model, state_dict)
    weights = {name: t for name, t in weights.items() if not name.startswith(CLASSIFIER)}
    weights |= {name: tensor for name, tensor in own.items() if name.startswith(CLASSIFIER)}
    if is_imagenet(model, state_dict):
        for name in FIRST_LAYERS & weights.keys() & own.keys():
            grey = weights[name].sum(1, keepdim=True) / (3 if colours == "average" else 1)
            channels = own[name].shape[1]
            weights[name] = grey.expand(-1, channels, -1, -1) / channels
    if isinstance(model, SpectrogramTransformer | PatchoutTransformer | CedTransformer):
        for name in POSITIONS.keys() & weights.keys() & own.keys():
            for axis, length in enumerate(own[name].shape[:-1]):
                weights[name] = interpolate_positions(weights[name], axis, length, POSITIONS[name])
    fill(model, weights)
