import pytest
import torch
import torch.nn.functional as F

from config import ConfigError, UserError
from models import MODELS
from models.cost import cost
from models.mn import SqueezeExcitation
from models.published import load_all
from tests.models.test_cp_mobile import convolved, published_weights

BLOCKS = (  # of width 0.1: channels before, within and after; kernel, stride
    (8, 8, 8, 3, 1),
    (8, 8, 8, 3, 2),
    (8, 8, 8, 3, 1),
    (8, 8, 8, 5, 2),
    (8, 16, 8, 5, 1),
    (8, 16, 8, 5, 1),
    (8, 24, 8, 3, 2),
    (8, 24, 8, 3, 1),
    (8, 24, 8, 3, 1),
    (8, 24, 8, 3, 1),
    (8, 48, 16, 3, 1),
    (16, 64, 16, 3, 1),
    (16, 64, 16, 5, 2),
    (16, 96, 16, 5, 1),
    (16, 96, 16, 5, 1),
)
SQUEEZE = {3: 8, 4: 8, 5: 8, 10: 16, 11: 16, 12: 16, 13: 24, 14: 24}
HARD_SWISH_FROM = 6
CLASSES = 5


def build(input_shape=(1, 70, 40), classes=CLASSES, name="mn", **options):
    options = {"width_mult": 0.1} | options
    return MODELS[name](num_classes=classes, input_shape=input_shape, **options)


@pytest.mark.parametrize(
    ("width_mult", "parameters"),
    [
        (0.1, 123_783),
        (0.4, 983_599),
        (0.5, 1_431_239),
        (1.0, 4_876_831),
        (2.0, 17_909_287),
        (3.0, 39_086_367),
        (4.0, 68_427_303),
    ],
)
def test_the_published_parameters(width_mult, parameters):
    with torch.device("meta"):
        model = build(classes=527, width_mult=width_mult)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_published_multiply_accumulates():
    with torch.device("meta"):
        model = build(classes=527, width_mult=1.0)
    assert cost(model, (1, 1000, 128)).macs == 541_078_208  # 0.54 billion, as its table says


@pytest.mark.parametrize("name", ["mn", "dymn"])
def test_maps_are_per_resolution_and_the_embedding_is_the_mean_of_the_last(name):
    torch.manual_seed(0)
    model = build(name=name).eval()
    with torch.no_grad():
        output = model(torch.randn(2, 1, 70, 40))
    sizes = [(8, 35, 20), (8, 18, 10), (8, 9, 5), (16, 5, 3), (96, 3, 2)]
    assert [tuple(m.shape[1:]) for m in output.maps] == sizes
    torch.testing.assert_close(output.embedding, output.maps[-1].flatten(2).mean(2))


def test_squeeze_and_excitation_by_hand():
    layer = SqueezeExcitation(8)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    layer.fc1.weight.data[0, 0] = layer.fc1.weight.data[1, 1] = 1.0
    layer.fc2.weight.data[2, 0], layer.fc2.weight.data[3, 1] = 0.5, 9.0
    layer.fc2.bias.data[7] = 100.0
    x = torch.ones(1, 8, 2, 3)
    x[:, 0], x[:, 1] = 2.0, -4.0
    found = layer(x)[0, :, 0, 0].tolist()
    sigmoid_of_1 = 0.731059
    expected = [1.0, -2.0, sigmoid_of_1, 0.5, 0.5, 0.5, 0.5, 1.0]  # ReLU has silenced the second
    assert found == pytest.approx(expected, abs=1e-6)


def test_an_input_whose_last_map_is_a_single_value_is_an_error():
    for strides, smallest in (("2222", 32), ("2221", 16), ("2211", 8)):
        message = f"at least {smallest + 1} frames or bands, found {smallest} x {smallest}"
        with pytest.raises(ConfigError, match=message):
            build((1, smallest, smallest), strides=strides)
        model = build((1, smallest + 1, 1), strides=strides).train()
        assert model(torch.randn(1, 1, smallest + 1, 1)).logits.isfinite().all()


def published_mn(head):
    """Random weights under the names of EfficientAT's checkpoints, of width 0.1."""
    shapes = {("features.0.0", "features.0.1"): (8, 1, 3, 3)}
    layers = {}
    for number, (before, inner, after, kernel, _) in enumerate(BLOCKS):
        block, place = f"features.{number + 1}.block", 0
        kernels = [(inner, before, 1, 1)] if inner != before else []
        for shape in (*kernels, (inner, 1, kernel, kernel)):
            shapes[f"{block}.{place}.0", f"{block}.{place}.1"] = shape
            place += 1
        if number in SQUEEZE:
            layers[f"{block}.{place}.conc_se_layers.0.fc1"] = (SQUEEZE[number], inner)
            layers[f"{block}.{place}.conc_se_layers.0.fc2"] = (inner, SQUEEZE[number])
            place += 1
        shapes[f"{block}.{place}.0", f"{block}.{place}.1"] = (after, inner, 1, 1)
    shapes["features.16.0", "features.16.1"] = (96, 16, 1, 1)
    if head == "mlp":
        layers |= {"classifier.2": (128, 96), "classifier.5": (CLASSES, 128)}
    else:
        shapes["classifier.0", "classifier.1"] = (CLASSES, 96, 1, 1)
    generator = torch.Generator().manual_seed(0)
    weights = published_weights(shapes)
    for name, shape in layers.items():
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator) / shape[1] ** 0.5
        weights[f"{name}.bias"] = torch.randn(shape[0], generator=generator)
    return weights


def hard_swish(x):
    return x * (x + 3).clamp(0, 6) / 6


def mn_by_names(weights, mels, strides):
    """The published network, straight from its weights: (B, C, T, F) -> logits."""

    def layer(name, x, **settings):
        return convolved(weights, f"{name}.0", f"{name}.1", x, eps=1e-3, **settings)

    def linear(name, x):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    x = hard_swish(layer("features.0", mels.transpose(2, 3), stride=2, padding=1))
    shrinks = iter(strides)
    for number, (before, inner, after, kernel, stride) in enumerate(BLOCKS):
        block, place = f"features.{number + 1}.block", 0
        act = hard_swish if number >= HARD_SWISH_FROM else F.relu
        stride = int(next(shrinks)) if stride == 2 else 1
        y = x
        if inner != before:
            y, place = act(layer(f"{block}.0", y)), 1
        depthwise = {"stride": stride, "padding": kernel // 2, "groups": inner}
        y = act(layer(f"{block}.{place}", y, **depthwise))
        if number in SQUEEZE:
            squeeze = f"{block}.{place + 1}.conc_se_layers.0"
            inside = linear(f"{squeeze}.fc1", y.mean((2, 3))).relu()
            y, place = y * linear(f"{squeeze}.fc2", inside).sigmoid()[..., None, None], place + 1
        y = layer(f"{block}.{place + 1}", y)
        x = x + y if stride == 1 and before == after else y
    x = hard_swish(layer("features.16", x))
    if "classifier.5.weight" not in weights:
        return convolved(weights, "classifier.0", "classifier.1", x, eps=1e-5).mean((2, 3))
    return linear("classifier.5", hard_swish(linear("classifier.2", x.mean((2, 3)))))


@pytest.mark.parametrize(
    ("head", "strides"),
    [("mlp", "2222"), ("fully_convolutional", "2222"), ("fully_convolutional", "2221")],
)
def test_the_published_weights_give_the_published_logits(head, strides):
    published = published_mn(head)
    model = build(head=head, strides=strides).eval()
    load_all(model, published)
    mels = torch.randn(2, 1, 70, 40, generator=torch.Generator().manual_seed(1))
    expected = mn_by_names(published, mels, strides)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    with torch.no_grad():
        torch.testing.assert_close(model(mels).logits, expected, rtol=1e-4, atol=1e-5)


def test_published_weights_of_another_head_or_width_are_an_error():
    with pytest.raises(UserError, match=r"fc\.0\.weight is missing"):
        load_all(build(), published_mn("fully_convolutional"))
    with pytest.raises(UserError, match=r"features\.0\.0\.weight is 8x1x3x3, expected 16x1x3x3"):
        load_all(build(width_mult=1.0), published_mn("mlp"))
