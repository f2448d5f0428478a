import pytest
import torch

from data.augment.params import beta


def test_beta_has_its_mean_and_variance():
    for alpha in (0.1, 1.0, 10.0):
        params = beta(alpha, 20_000, torch.Generator().manual_seed(0))
        assert params.mean().item() == pytest.approx(0.5, abs=0.01)
        assert params.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)
