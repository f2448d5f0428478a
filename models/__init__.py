"""One architecture per file. To add one: write the file and add a line here.

A model is built by `MODELS[name](num_classes=…, input_shape=(C, T, F), **options)`. The options are
the other keyword-only parameters of the constructor, and keys of the INI file. `forward` maps
(B, C, T, F) to an `Output`; for a model on raw waveforms the shapes are (C, S) and (B, C, S).
`input_shape` is that of training; in evaluation a clip may be longer. `python -m models` lists all
models. `file.py:function` names a user's own model, see `models.own`.
"""

from collections.abc import Callable

from torch import nn

from config import choose
from models.ast import SpectrogramTransformer
from models.ced import CedTransformer
from models.cnn_lstm import CnnLstm
from models.cp_mobile import CpMobile
from models.cp_resnet import CpResnet
from models.dcase_net import DcaseNet
from models.dcase_small import DcaseSmall
from models.dymn import DyMN
from models.efficientnet import EfficientNet
from models.mel_resnet import MelResnet
from models.mn import MN
from models.mobilenetv2 import MobileNetV2
from models.own import load_builder
from models.passt import PatchoutTransformer
from models.raw_resnet import RawResnet
from models.yamnet import Yamnet

MODELS = {
    "ast": SpectrogramTransformer,
    "ced": CedTransformer,
    "cnn_lstm": CnnLstm,
    "cp_mobile": CpMobile,
    "cp_resnet": CpResnet,
    "dcase_net": DcaseNet,
    "dcase_small": DcaseSmall,
    "dymn": DyMN,
    "efficientnet": EfficientNet,
    "mel_resnet": MelResnet,
    "mn": MN,
    "mobilenetv2": MobileNetV2,
    "passt": PatchoutTransformer,
    "raw_resnet": RawResnet,
    "yamnet": Yamnet,
}


def family(name: str) -> str:
    """The family of a model: "transformer" or, by default, "convolutional"."""
    return getattr(MODELS.get(name), "family", "convolutional")


def find_model(where: str, name: str) -> Callable[..., nn.Module]:
    """The constructor of the model `name`. Raises ConfigError that names `where`."""
    return load_builder(where, name) if ":" in name else choose(where, MODELS, name)
