"""Parameters, multiply-accumulates and map shapes at the settings of the published systems."""

import pytest
import torch

from models import MODELS
from models.cost import cost

SETTINGS = [  # model, options, bands, parameters, MACs as printed, their last digit, last map
    ("dcase_net", {}, 64, 13_153_672, 8.26e9, 1e7, (512, 124, 8)),
    ("dcase_small", {}, 20, 323_336, 150e6, 1e6, (128, 124, 2)),
    ("cnn_lstm", {}, 20, 83_784, 44e6, 1e6, (32, 497, 8)),
    ("mobilenetv2", {}, 64, 2_884_927, 389e6, 1e6, (1280, 32, 2)),
    ("mobilenetv2", {"width_mult": 0.0005}, 20, 696_783, 11.0e6, 1e5, (1280, 32, 1)),
]


@pytest.mark.parametrize(
    ("name", "options", "bands", "parameters", "macs", "digit", "feature"), SETTINGS
)
def test_reference_settings(name, options, bands, parameters, macs, digit, feature):
    input_shape = (1, 998, bands)
    model = MODELS[name](num_classes=8, input_shape=input_shape, **options).eval()
    figures = cost(model, input_shape)
    assert figures.parameters == parameters
    assert figures.macs == pytest.approx(macs, abs=digit / 2)
    with torch.no_grad():
        output = model.to("meta")(torch.zeros(1, *input_shape, device="meta"))
    assert output.maps[-1].shape == (1, *feature)
