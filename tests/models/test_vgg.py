import pytest
import torch
import torch.nn.functional as F

from config import ConfigError
from models import MODELS


def stage(x, weights, *names):
    for name in names:
        x = F.relu(
            F.conv2d(x, weights[f"{name}.0.weight"], weights[f"{name}.0.bias"], padding="same")
        )
    return x


def test_dcase_small_computes_the_published_table():
    torch.manual_seed(0)
    model = MODELS["dcase_small"](num_classes=8, input_shape=(1, 50, 20)).eval()
    w, x = model.state_dict(), torch.randn(2, 1, 50, 20)
    output = model(x)
    x = F.max_pool2d(stage(x, w, "conv1"), 2)
    x = F.max_pool2d(stage(x, w, "conv2"), 2)
    x = F.max_pool2d(stage(x, w, "conv3_1", "conv3_2"), 2)
    x = stage(x, w, "conv4_1", "conv4_2")
    torch.testing.assert_close(output.maps[-1], x)
    x = x.max(dim=2).values.reshape(2, 256)
    for name in ("fc1", "fc2"):
        x = F.relu(x @ w[f"{name}.weight"].T + w[f"{name}.bias"])
    torch.testing.assert_close(output.embedding, x)
    torch.testing.assert_close(output.logits, x @ w["classifier.weight"].T + w["classifier.bias"])


def test_width_scales_channels_and_head_down_to_eight():
    def widths(width_mult):
        model = MODELS["dcase_small"](num_classes=8, input_shape=(1, 50, 20), width_mult=width_mult)
        convs = [model.conv1, model.conv2, model.conv3_1, model.conv3_2, model.conv4_1]
        return [c[0].out_channels for c in convs], model.fc1.out_features, model.fc2.out_features

    assert widths(1.0) == ([16, 32, 64, 64, 128], 128, 64)
    assert widths(0.25) == ([8, 8, 16, 16, 32], 32, 16)
    assert widths(0.0005) == ([8, 8, 8, 8, 8], 8, 8)


def test_batch_normalisation_replaces_the_biases_of_the_convolutions():
    model = MODELS["dcase_small"](num_classes=8, input_shape=(1, 50, 20), batch_norm=True)
    plain = MODELS["dcase_small"](num_classes=8, input_shape=(1, 50, 20))
    channels = 16 + 32 + 64 + 64 + 128 + 128
    count = [sum(p.numel() for p in m.parameters()) for m in (model, plain)]
    assert count[0] - count[1] == channels  # two for one
    assert "conv1.0.bias" not in model.state_dict()


def test_batch_normalisation_keeps_the_scale_of_the_activations():
    torch.manual_seed(0)
    model = MODELS["dcase_net"](num_classes=8, input_shape=(1, 64, 64), batch_norm=True)
    maps = model(100 * torch.randn(4, 1, 64, 64)).maps
    for feature_map in maps:  # ReLU of a standard normal variable: sqrt(1/2 - 1/(2 pi)) = 0.58
        assert feature_map.std().item() == pytest.approx(0.58, abs=0.1)


def test_dropout_acts_in_training_on_the_classifier_only():
    torch.manual_seed(0)
    model = MODELS["dcase_small"](num_classes=8, input_shape=(1, 50, 20), dropout=0.5)
    x = torch.randn(2, 1, 50, 20)
    first, second = model.train()(x), model(x)
    assert not torch.equal(first.logits, second.logits)
    assert torch.equal(first.embedding, second.embedding)
    assert torch.equal(model.eval()(x).logits, model(x).logits)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_is_a_rate(dropout):
    with pytest.raises(ConfigError, match="dcase_small dropout: found"):
        MODELS["dcase_small"](num_classes=8, input_shape=(1, 50, 20), dropout=dropout)


def test_batch_normalisation_requires_more_than_one_value_per_clip():
    with pytest.raises(ConfigError, match="batch_norm.*15 x 8"):
        MODELS["dcase_small"](num_classes=8, input_shape=(1, 15, 8), batch_norm=True)
    model = MODELS["dcase_small"](num_classes=8, input_shape=(1, 16, 8), batch_norm=True)
    assert model.train()(torch.randn(1, 1, 16, 8)).logits.isfinite().all()
