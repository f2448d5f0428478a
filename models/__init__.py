"""One architecture a file. To add one: write the file, add a line here; MODEL then takes its name.

Built as `MODELS[name](num_classes=…, input_shape=(C, T, F), **options)`; the options are the
constructor's other keyword-only parameters, and keys of the INI file. `forward((B, C, T, F))` gives
an `Output`.
"""

from models.dcase_net import DcaseNet
from models.dcase_small import DcaseSmall

MODELS = {
    "dcase_net": DcaseNet,
    "dcase_small": DcaseSmall,
}
