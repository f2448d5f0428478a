"""One architecture a file. To add one: write the file, add a line here; MODEL then takes its name.

Built as `MODELS[name](num_classes=…, input_shape=(C, T, F), **options)`; the options are the
constructor's other keyword-only parameters, and keys of the INI file. `forward((B, C, T, F))` gives
an `Output`. `python -m models` lists them. A model that is not ours is `file.py:function`, see
`models.own`.
"""

from collections.abc import Callable

from torch import nn

from config import choose
from models.cnn_lstm import CnnLstm
from models.dcase_net import DcaseNet
from models.dcase_small import DcaseSmall
from models.mobilenetv2 import MobileNetV2
from models.own import load_builder

MODELS = {
    "cnn_lstm": CnnLstm,
    "dcase_net": DcaseNet,
    "dcase_small": DcaseSmall,
    "mobilenetv2": MobileNetV2,
}


def find_model(where: str, name: str) -> Callable[..., nn.Module]:
    """What builds the model of this name. Raises ConfigError that names `where`."""
    return load_builder(where, name) if ":" in name else choose(where, MODELS, name)
