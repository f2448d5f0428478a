import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from config import ConfigError
from models import MODELS
from models.efficientnet import AttentionPooling, MeanProbability, image_padding


def build(classes=200, input_shape=(1, 70, 40), **options):
    return MODELS["efficientnet"](num_classes=classes, input_shape=input_shape, **options)


@pytest.mark.parametrize(
    ("variant", "pooling", "classes", "millions"),
    [
        ("b0", "mean", 200, 4.26),
        ("b2", "mean", 200, 7.98),
        ("b6", "mean", 200, 41.20),
        ("b2", "mean", 527, 8.44),
        ("b2", "attention", 527, 13.64),
    ],
)
def test_the_published_parameters(variant, pooling, classes, millions):
    with torch.device("meta"):
        model = build(classes, variant=variant, pooling=pooling)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == millions


def test_the_maps_halve_per_stage_and_the_mean_of_the_last_is_classified():
    torch.manual_seed(0)
    model = build(3, width_mult=0.1, depth_mult=0.1).eval()
    with torch.no_grad():
        output = model(torch.randn(2, 1, 70, 40))
    assert [tuple(m.shape[2:]) for m in output.maps] == [
        (35, 20),
        (18, 10),
        (9, 5),
        (5, 3),
        (3, 2),
    ]
    embedding = output.maps[-1].flatten(2).mean(2)
    torch.testing.assert_close(output.embedding, embedding)
    weight, bias = model.classifier.weight, model.classifier.bias
    torch.testing.assert_close(output.logits, embedding @ weight.T + bias)


def pooling(channels=6, classes=3):
    torch.manual_seed(0)
    layer = AttentionPooling(channels, classes)
    torch.nn.init.normal_(layer.classes.weight)
    layer.head_weight.data = torch.tensor([0.4, 0.1, 0.3, 0.1])  # learned: they sum to 0.9
    return layer


def test_attention_pooling_is_the_logit_of_the_published_probability():
    layer, frames = pooling(), torch.randn(2, 5, 6)
    expected = torch.zeros(2, 3)
    for clip in range(2):
        for name in range(3):
            for head in range(4):
                row = 3 * head + name
                heard = torch.sigmoid(
                    frames[clip] @ layer.classes.weight[row] + layer.classes.bias[row]
                )
                attention = torch.sigmoid(
                    frames[clip] @ layer.attention.weight[row] + layer.attention.bias[row]
                )
                mean = (heard * attention).sum() / attention.sum()
                expected[clip, name] += layer.head_weight[head].item() * mean.item()
    torch.testing.assert_close(layer(frames), torch.logit(expected), rtol=1e-4, atol=1e-5)


def test_attention_pooling_is_finite_and_exact_near_probability_one():
    layer = AttentionPooling(1, 1)
    torch.nn.init.zeros_(layer.attention.weight)
    torch.nn.init.ones_(layer.classes.weight)
    torch.nn.init.zeros_(layer.classes.bias)
    for score in (12.0, -12.0):  # sigmoid(12) is too close to 1 in float32
        torch.testing.assert_close(layer(torch.full((1, 3, 1), score)).item(), score)
    for score in (200.0, -200.0):
        frames = torch.full((1, 3, 1), score, requires_grad=True)
        logit = layer(frames)
        logit.sum().backward()
        assert abs(logit.item()) == pytest.approx(16.118, abs=1e-3)  # of 1e-7
        assert frames.grad.isfinite().all()


def test_attention_pooling_in_double_precision():
    layer, frames = pooling(), torch.randn(2, 5, 6)
    weights = {name: tensor.double() for name, tensor in layer.state_dict().items()}
    scores = {
        name: frames.double() @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        for name in ("attention", "classes")
    }
    attention, present = (
        1 / (1 + torch.exp(-x.unflatten(2, (4, 3)))) for x in scores.values()
    )  # (2, 5, 4, 3)
    heads = (attention * present).sum(1) / attention.sum(1)
    expected = (weights["head_weight"][:, None] * heads).sum(1)
    torch.testing.assert_close(layer(frames).double().sigmoid(), expected, rtol=1e-6, atol=1e-7)


def test_the_mean_of_probabilities_by_hand():
    layer = MeanProbability(1, 1)
    torch.nn.init.ones_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    frames = torch.tensor([0.0, math.log(3)])[None, :, None]  # probabilities of 1/2 and 3/4
    torch.testing.assert_close(layer(frames).sigmoid(), torch.tensor([[0.625]]))
    assert layer(torch.full((1, 3, 1), 200.0)).item() == pytest.approx(16.118, abs=1e-3)


@given(st.integers(32, 700))
def test_the_padding_is_tensorflows_same_for_the_size_of_the_images(size):
    for kernel, padding in zip((3, 3, 5, 3, 5), image_padding(size), strict=True):
        # TensorFlow: ceil(size / 2) outputs, the whole padding as small as possible
        outputs = math.ceil(size / 2)
        assert outputs == (size + sum(padding) - kernel) // 2 + 1
        assert (size + sum(padding) - kernel) % 2 == 0
        assert 0 <= padding[1] - padding[0] <= 1
        size = outputs


def test_the_conventions_of_tensorflow():
    model = build(3, (1, 100, 128), variant="b2", conventions="tensorflow", depth_mult=0.1)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    torch.manual_seed(0)
    clips = torch.randn(2, 1, 100, 128)
    stem = model.features.conv_stem
    expected = F.conv2d(F.pad(clips, (0, 1, 0, 1)), stem.weight, stride=2)
    assert torch.equal(stem(clips), expected)
    with torch.no_grad():
        maps = model.eval()(clips).maps  # half of 25 and of 13 is rounded up, as that of 65 and 33
    assert [tuple(m.shape[2:]) for m in maps] == [(50, 64), (25, 32), (13, 16), (7, 8), (4, 4)]


@pytest.mark.parametrize("bands", [20, 31])
def test_a_mel_that_the_padding_leaves_no_values_of_is_an_error(bands):
    with pytest.raises(ConfigError, match=f"x {bands} bands, whose last map is 3 x 0"):
        build(3, (1, 100, bands), conventions="tensorflow", depth_mult=0.1)
    build(3, (1, 100, 32), conventions="tensorflow", depth_mult=0.1)


def test_stochastic_depth_acts_in_training_only():
    torch.manual_seed(0)
    model = build(3, width_mult=0.1, depth_mult=1.0, drop_path=0.5).eval()
    clips = torch.randn(2, 1, 70, 40)
    with torch.no_grad():
        assert torch.equal(model(clips).logits, model(clips).logits)
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        assert not torch.equal(model(clips).logits, model(clips).logits)


@pytest.mark.parametrize("drop_path", [-0.1, 1.0])
def test_drop_path_is_below_1(drop_path):
    with pytest.raises(ConfigError, match="efficientnet drop_path"):
        build(drop_path=drop_path)


@pytest.mark.parametrize("depth_mult", [0.0, float("nan")])
def test_a_depth_must_be_positive(depth_mult):
    with pytest.raises(ConfigError, match="efficientnet depth_mult"):
        build(depth_mult=depth_mult)
