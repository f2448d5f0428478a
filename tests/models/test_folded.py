import pytest
import torch
from torch import nn

from config import UserError
from models.folded import fold_batch_norm
from models.output import Output


class Small(nn.Module):
    """A layer, its normalisation and further layers given by the test."""

    def __init__(self, norm, reads_both=False):
        super().__init__()
        self.layer, self.norm, self.reads_both = nn.Linear(1, 1), norm, reads_both

    def forward(self, x):
        y = self.layer(x)
        z = self.norm(y)
        return Output(z + y if self.reads_both else z, x, ())


def with_statistics(norm):
    """Mean 3, variance 4, gamma 5, beta 7: y = 5 (x - 3) / 2 + 7."""
    for name, value in {"running_mean": 3, "running_var": 4, "weight": 5, "bias": 7}.items():
        getattr(norm, name).data.fill_(value)
    norm.eps = 0.0
    return norm


def test_weight_and_bias_by_hand():
    model = Small(with_statistics(nn.BatchNorm1d(1)))
    model.layer.weight.data.fill_(2.0)
    model.layer.bias.data.fill_(1.0)
    fold_batch_norm(model, torch.ones(2, 1))
    assert (model.layer.weight.item(), model.layer.bias.item()) == (5.0, 2.0)
    assert not list(model.norm.modules())[1:]


def test_an_output_that_is_used_twice_is_not_folded():
    model = Small(with_statistics(nn.BatchNorm1d(1)), reads_both=True)
    weight = model.layer.weight.item()
    fold_batch_norm(model, torch.ones(2, 1))
    assert isinstance(model.norm, nn.BatchNorm1d)
    assert model.layer.weight.item() == weight


def test_an_activation_inside_a_normalisation_is_kept():
    class WithRelu(nn.BatchNorm1d):
        def __init__(self):
            super().__init__(1)
            self.activation = nn.ReLU()

        def forward(self, x):
            return self.activation(super().forward(x))

    model = Small(with_statistics(WithRelu()))
    x = torch.tensor([[-9.0], [9.0]])
    before = model.eval()(x).logits
    fold_batch_norm(model, x)
    assert isinstance(model.norm[0], nn.ReLU)
    assert 0 in before
    torch.testing.assert_close(model(x).logits, before)


def test_a_changed_output_is_an_error():
    class Doubling(nn.BatchNorm1d):
        def forward(self, x):
            return 2 * super().forward(x)

    with pytest.raises(UserError, match="Small: its batch normalisation cannot be folded"):
        fold_batch_norm(Small(with_statistics(Doubling(1))), torch.ones(2, 1))
