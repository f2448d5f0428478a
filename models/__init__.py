"""One architecture a file. To add one: write the file, add a line here; MODEL then takes its name.

Built as `MODELS[name](num_classes=…, input_shape=(C, T, F), **options)`; the options are the
constructor's other keyword-only parameters, and keys of the INI file. `forward((B, C, T, F))` gives
an `Output`. `python -m models` lists them.
"""

from models.cnn_lstm import CnnLstm
from models.dcase_net import DcaseNet
from models.dcase_small import DcaseSmall
from models.mobilenetv2 import MobileNetV2

MODELS = {
    "cnn_lstm": CnnLstm,
    "dcase_net": DcaseNet,
    "dcase_small": DcaseSmall,
    "mobilenetv2": MobileNetV2,
}
