"""Costs of each kind of layer, counted by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.cost import cost, recurrence_products


class SelfAttention(nn.Module):
    def __init__(self, need_weights):
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.need_weights = need_weights

    def forward(self, x):
        return self.attention(x, x, x, need_weights=self.need_weights)[0]


class DotProductAttention(nn.Module):
    def forward(self, x):
        return F.scaled_dot_product_attention(x, x, x)


ATTENTION = 4 * 10 * 32 * 32 + 2 * 10 * 10 * 32  # q, k, v, output; scores and their weighing


@pytest.mark.parametrize(
    ("layer", "input_shape", "macs"),
    [
        (nn.Linear(7, 5), (7,), 7 * 5),
        (nn.Linear(7, 5), (3, 7), 3 * 7 * 5),
        (nn.Conv2d(3, 6, (5, 3), stride=2), (3, 11, 9), (4 * 4) * 6 * 3 * 15),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (8, 5, 6), (5 * 6) * 8 * 9),
        (nn.Conv1d(5, 3, 2, dilation=2), (5, 10), 8 * 3 * 5 * 2),
        (nn.LSTM(25, 6, batch_first=True), (7, 25), 7 * 4 * 6 * (25 + 6)),
        (
            nn.GRU(25, 6, num_layers=2, bidirectional=True, batch_first=True),
            (7, 25),
            7 * 2 * 3 * 6 * (25 + 6) + 7 * 2 * 3 * 6 * (12 + 6),
        ),
        (SelfAttention(True), (10, 32), ATTENTION),
        (SelfAttention(False), (10, 32), ATTENTION),
        (DotProductAttention(), (4, 10, 8), 2 * 4 * 10 * 10 * 8),
        (
            nn.TransformerEncoderLayer(32, 4, dim_feedforward=64, batch_first=True),
            (10, 32),
            ATTENTION + 2 * 10 * 32 * 64,
        ),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)), (3, 8, 8), 0),
    ],
)
def test_multiply_accumulates(layer, input_shape, macs):
    assert cost(layer, input_shape).macs == macs


def test_parameters_and_bytes():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4))
    model[0].weight.requires_grad_(False)
    figures = cost(model, (1, 5, 5))
    assert figures.parameters == 36 + 8  # frozen ones too
    # float32 weights, running mean and variance, and the 64-bit count of batches
    assert figures.weight_bytes == 4 * (36 + 8 + 8) + 8


def test_half_precision_weights_take_half_the_bytes():
    assert cost(nn.Linear(7, 5).half(), (7,)).weight_bytes == 2 * (7 * 5 + 5)


def test_the_model_is_not_changed():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    cost(model, (1, 5, 5))
    assert model.training
    assert model[1].training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2}])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("input_shape", [(7, 5), (3, 7, 5)])
def test_a_counted_recurrence_has_the_output_shapes_of_pytorch(kind, options, input_shape):
    module = kind(5, 4, batch_first=True, **options)
    x = torch.zeros(input_shape)
    y, state = module(x)
    counted, its_state = recurrence_products(module, x)
    assert counted.shape == y.shape
    pairs = zip(state, its_state, strict=True) if kind is nn.LSTM else [(state, its_state)]
    assert all(one.shape == other.shape for one, other in pairs)
