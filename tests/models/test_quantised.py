"""Rounding by hand, integer arithmetic, and all models in simulated int8."""

import numpy as np
import pytest
import torch
from torch import nn

from config import UserError
from models import MODELS
from models.cost import cost
from models.precision import to_precision
from models.quantised import QuantisedLayer, Rounded, freeze_ranges, quantise
from tests.deploy.trained import built, described


def test_rounding_by_hand():
    """Scale 0.5, zero point 2, integers 0 to 5: from -1 to 1.5."""
    x = torch.tensor([-1.2, 0.24, 0.26, 5.0, -1.3], requires_grad=True)
    found = Rounded.apply(x, torch.tensor(0.5), torch.tensor(2.0), 0, 5)
    assert found.tolist() == [-1.0, 0.0, 0.5, 1.5, -1.0]
    found.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]


def quantised(layer, low, high):
    return QuantisedLayer(layer, torch.tensor(low), torch.tensor(high)).eval()


@torch.no_grad()
def test_a_layer_sums_integers():
    torch.manual_seed(0)
    layer, x = nn.Linear(40, 6), 3 * torch.rand(9, 40) - 1
    found = quantised(layer, -0.9, 1.8)(x).numpy()  # some of x lies beyond
    scale = np.float32(np.float32(1.8) - np.float32(-0.9)) / np.float32(255)
    zero = round(0.9 / float(scale))
    whole_x = np.clip(np.rint(x.numpy() / scale) + zero, 0, 255).astype(np.int64) - zero
    weight = layer.weight.numpy()
    scales = np.abs(weight).max(axis=1) / np.float32(127)
    whole_w = np.rint(weight / scales[:, None]).astype(np.int64)
    assert np.abs(whole_w).max(axis=1).tolist() == [127] * 6
    whole_b = np.rint(layer.bias.numpy() / (scale * scales)).astype(np.int64)
    expected = (whole_x @ whole_w.T + whole_b) * (scale * scales)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_channel_of_zero_weights_keeps_its_bias():
    layer = nn.Linear(4, 2)
    layer.weight.zero_()
    layer.bias.copy_(torch.tensor([40.0, -0.5]))
    found = quantised(layer, 0.0, 1e-3)(torch.ones(1, 4))
    torch.testing.assert_close(found, torch.tensor([[40.0, -0.5]]))


@torch.no_grad()
def test_ranges_are_moving_averages_until_they_are_frozen():
    layer = quantised(nn.Linear(1, 1), -1.0, 1.0).train()
    layer(torch.tensor([[2.0], [5.0]]))  # lowest 2, but 0 lies between
    assert (layer.low.item(), layer.high.item()) == pytest.approx((-0.99, 1.04))
    freeze_ranges(layer)
    layer(torch.tensor([[-9.0], [9.0]]))
    assert (layer.low.item(), layer.high.item()) == pytest.approx((-0.99, 1.04))
    assert layer.train().training


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"cnn_lstm", "dymn"}))
@torch.no_grad()
def test_every_model_has_nearly_the_same_outputs(name):
    description = described(name)
    model = built(description)
    torch.manual_seed(0)
    x = torch.randn(1, *description.input_shape)
    before = model(x).logits
    found = quantise(model, [x])
    layers = [module for module in found.modules() if isinstance(module, QuantisedLayer)]
    assert len(layers) > 2
    error = (found(x).logits - before).abs().max() / before.abs().max()
    assert 0 < error < 0.06


def test_a_recurrence_is_an_error():
    description = described("cnn_lstm")
    with pytest.raises(UserError, match="CnnLstm cannot be quantised: it contains a recurrence"):
        quantise(built(description), [torch.zeros(1, *description.input_shape)])


def test_cp_mobile_of_2023_has_the_published_parameters_when_folded():
    """126,952 unfused, 124,872 fused: there but for the classifier, whose ten classes here have a
    bias and no longer two. A byte each, but for the biases and the two ends of each range.
    """
    shape = (1, 64, 256)
    model = MODELS["cp_mobile"](num_classes=10, input_shape=shape, version="dcase2023").eval()
    before = cost(model, shape)
    found = to_precision(model, "int8", [torch.zeros(1, *shape)])
    after = cost(found, shape)
    assert (before.parameters, after.parameters) == (126_952, 124_872 - 10)
    assert before.macs == after.macs
    layers = [module for module in found.modules() if isinstance(module, QuantisedLayer)]
    weights = sum(layer.layer.weight.numel() for layer in layers)
    assert after.weight_bytes == weights + 4 * (after.parameters - weights + 2 * len(layers))


@torch.no_grad()
def test_a_half_precision_model_accepts_float32_features():
    description = described("cp_mobile", base_channels=8)
    model, x = built(description), torch.randn(2, *description.input_shape)
    before, bytes_before = model(x).logits, cost(model, description.input_shape).weight_bytes
    found = to_precision(model, "float16", [])
    logits = found(x).logits
    assert logits.dtype == torch.float16
    error = (logits.float() - before).abs().max() / before.abs().max()
    assert 0 < error < 5e-3
    assert cost(found, description.input_shape).weight_bytes < 0.6 * bytes_before
