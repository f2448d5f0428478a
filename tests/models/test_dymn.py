import math

import pytest
import torch
import torch.nn.functional as F

from config import ConfigError, UserError
from models import MODELS
from models.cost import cost
from models.dymn import DynamicConvolution, DynamicReLU, lower_temperature
from models.published import load_all
from tests.models.test_mn import BLOCKS, HARD_SWISH_FROM, SQUEEZE, hard_swish

CLASSES, KERNELS, CONTEXT = 5, 4, 16  # of width 0.1, whose contexts are 8 to 16


def build(input_shape=(1, 70, 40), classes=CLASSES, **options):
    options = {"width_mult": 0.1} | options
    return MODELS["dymn"](num_classes=classes, input_shape=input_shape, **options)


@pytest.mark.parametrize(
    ("width_mult", "parameters", "statistics", "millions"),
    [
        (0.4, 1_961_239, 10_704, 1.97),
        (1.0, 10_548_479, 26_464, 10.57),
        (2.0, 39_966_143, 52_928, 40.02),
    ],
)
def test_the_published_parameters(width_mult, parameters, statistics, millions):
    """The published table counts the statistics of batch normalisation."""
    with torch.device("meta"):
        model = build(classes=527, width_mult=width_mult)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert sum(b.numel() for n, b in model.named_buffers() if "running" in n) == statistics
    assert round((parameters + statistics) / 1e6, 2) == millions


def test_the_published_multiply_accumulates():
    with torch.device("meta"):
        model = build(classes=527, width_mult=1.0)
    assert cost(model, (1, 1000, 128)).macs == 581_672_832  # 0.58 billion, as its table says


def context_size(inner):
    return min(max((inner // 4 + 4) // 8 * 8, 8), CONTEXT)


def published_dymn(dynamic):
    """Random weights under the names of EfficientAT's checkpoints, of width 0.1."""
    generator = torch.Generator().manual_seed(0)
    weights = {}

    def linear(name, *shape, bias=True):
        fan_in = math.prod(shape[1:])
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        if bias:
            weights[f"{name}.bias"] = 0.3 * torch.randn(shape[0], generator=generator)

    def norm(name, channels):
        weights[f"{name}.weight"] = 0.5 + torch.rand(channels, generator=generator)
        weights[f"{name}.bias"] = 0.5 * torch.randn(channels, generator=generator)
        weights[f"{name}.running_mean"] = 0.3 * torch.randn(channels, generator=generator)
        weights[f"{name}.running_var"] = 0.5 + torch.rand(channels, generator=generator)
        weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def layer(name, *shape):
        linear(f"{name}.0", *shape, bias=False)
        norm(f"{name}.1", shape[0])

    def dynamic_layer(name, size, *shape):
        linear(f"{name}_conv.residuals.0", KERNELS, size)
        values = torch.randn(1, 1, KERNELS, math.prod(shape), generator=generator)
        weights[f"{name}_conv.weight"] = values * (2 / math.prod(shape[1:])) ** 0.5
        norm(f"{name}_norm", shape[0])

    layer("in_c", 8, 1, 3, 3)
    for number, (before, inner, after, kernel, _) in enumerate(BLOCKS):
        name = f"layers.{number}"
        if dynamic == "replace_se" and number not in SQUEEZE:
            shapes = [(inner, before, 1, 1)] if inner != before else []
            shapes += [(inner, 1, kernel, kernel), (after, inner, 1, 1)]
            for place, shape in enumerate(shapes):
                layer(f"{name}.block.{place}", *shape)
            continue
        size = context_size(inner)
        if inner != before:
            dynamic_layer(f"{name}.exp", size, inner, before, 1, 1)
        dynamic_layer(f"{name}.depth", size, inner, 1, kernel, kernel)
        dynamic_layer(f"{name}.proj", size, after, inner, 1, 1)
        linear(f"{name}.depth_act.coef_net.0", 4 * inner, size)
        weights[f"{name}.depth_act.lambdas"] = torch.tensor([1.0, 1.0, 0.5, 0.5])
        weights[f"{name}.depth_act.init_v"] = torch.tensor([1.0, 0.0, 0.0, 0.0])
        linear(f"{name}.context_gen.joint_conv", size, before, 1, 1, bias=False)
        norm(f"{name}.context_gen.joint_norm", size)
        linear(f"{name}.context_gen.conv_f", inner, size, 1, 1)
        linear(f"{name}.context_gen.conv_t", inner, size, 1, 1)
    layer("out_c", 96, 16, 1, 1)
    linear("classifier.2", 128, 96)
    linear("classifier.5", CLASSES, 128)
    return weights


def dymn_by_names(weights, mels, temperature):
    """The published network clip by clip, straight from its weights: (B, C, T, F) -> logits."""
    w = {name: tensor.double() for name, tensor in weights.items()}
    return torch.cat([clip_by_names(w, mel[None].double(), temperature) for mel in mels])


def clip_by_names(w, mel, temperature):
    def norm(name, x):
        column = (1, -1, *[1] * (x.ndim - 2))
        mean, variance = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        x = (x - mean.view(column)) / (variance.view(column) + 1e-3).sqrt()
        return x * w[f"{name}.weight"].view(column) + w[f"{name}.bias"].view(column)

    def layer(name, x, **settings):
        return norm(f"{name}.1", F.conv2d(x, w[f"{name}.0.weight"], **settings))

    def linear(name, x):
        return w[f"{name}.weight"].flatten(1) @ x + w[f"{name}.bias"].view(-1, *[1] * (x.ndim - 1))

    def dynamic(name, x, context, shape, **settings):
        scores = linear(f"{name}_conv.residuals.0", context) / temperature
        shares = scores.exp() / scores.exp().sum()
        kernel = sum(
            share * values.view(shape)
            for share, values in zip(shares, w[f"{name}_conv.weight"][0, 0], strict=True)
        )
        return norm(f"{name}_norm", F.conv2d(x, kernel, **settings))

    def pooled(steps, stride):  # zeros beyond the ends, which count
        padded = F.pad(steps, (1, 1))
        sums = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
        return sums[:, ::2] / 3 if stride == 2 else steps

    def dynamic_block(name, x, inner, after, kernel, stride, act):
        of_frequency, of_time = x[0].mean(2), x[0].mean(1)
        sequence = torch.cat((of_frequency, of_time), 1)
        joint = w[f"{name}.context_gen.joint_conv.weight"].flatten(1) @ sequence
        joint = hard_swish(norm(f"{name}.context_gen.joint_norm", joint[None]))[0]
        context, bands = joint.mean(1), x.shape[2]
        y = x
        if f"{name}.exp_conv.weight" in w:
            shape = (inner, x.shape[1], 1, 1)
            y = act(dynamic(f"{name}.exp", x, context, shape))
        depthwise = {"stride": stride, "padding": kernel // 2, "groups": inner}
        y = dynamic(f"{name}.depth", y, context, (inner, 1, kernel, kernel), **depthwise)
        theta = 2 * linear(f"{name}.depth_act.coef_net.0", context).sigmoid() - 1
        theta = theta.view(inner, 4, 1, 1)
        first = (1 + theta[:, 0]) * y[0] + theta[:, 2] / 2
        second = theta[:, 1] * y[0] + theta[:, 3] / 2
        y = torch.where(first > second, first, second)
        gate_f = linear(f"{name}.context_gen.conv_f", pooled(joint[:, :bands], stride)).sigmoid()
        gate_t = linear(f"{name}.context_gen.conv_t", pooled(joint[:, bands:], stride)).sigmoid()
        y = y * gate_f[:, :, None] * gate_t[:, None]
        return dynamic(f"{name}.proj", y[None], context, (after, inner, 1, 1))

    x = hard_swish(layer("in_c", mel.transpose(2, 3), stride=2, padding=1))
    for number, (before, inner, after, kernel, stride) in enumerate(BLOCKS):
        name, act = f"layers.{number}", hard_swish if number >= HARD_SWISH_FROM else F.relu
        if f"{name}.context_gen.conv_f.weight" in w:
            y = dynamic_block(name, x, inner, after, kernel, stride, act)
        else:
            y, place = x, 0
            if inner != before:
                y, place = act(layer(f"{name}.block.0", y)), 1
            depthwise = {"stride": stride, "padding": kernel // 2, "groups": inner}
            y = act(layer(f"{name}.block.{place}", y, **depthwise))
            y = layer(f"{name}.block.{place + 1}", y)
        x = x + y if stride == 1 and before == after else y
    x = hard_swish(layer("out_c", x))
    hidden = hard_swish(linear("classifier.2", x[0].mean((1, 2))))
    return linear("classifier.5", hidden)[None]


@pytest.mark.parametrize(("dynamic", "temperature"), [("all", 1.0), ("replace_se", 30.0)])
def test_the_published_weights_give_the_published_logits(dynamic, temperature):
    published = published_dymn(dynamic)
    model = build(dynamic=dynamic, kernel_temperature=temperature)
    load_all(model, published)
    assert model.temperature == temperature
    mels = torch.randn(2, 1, 70, 41, generator=torch.Generator().manual_seed(1))
    mels[1] *= 3
    expected = dymn_by_names(published, mels, temperature)
    assert (expected[0] - expected[1]).abs().max() > 1e-3 * expected.abs().max()
    with torch.no_grad():
        found = model.eval().double()(mels.double()).logits
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8 * expected.abs().max().item())


def test_published_weights_of_other_blocks_or_widths_are_an_error():
    with pytest.raises(UserError, match=r"features\.1\.context\.joint\.0\.weight is missing"):
        load_all(build(), published_dymn("replace_se"))
    with pytest.raises(UserError, match=r"features\.0\.0\.weight is 8x1x3x3, expected 16x1x3x3"):
        load_all(build(width_mult=1.0), published_dymn("all"))


@pytest.mark.parametrize(("size", "stride", "groups"), [(1, 1, 1), (3, 2, 8), (5, 1, 8)])
def test_a_dynamic_convolution_is_the_weighted_sum_of_four(size, stride, groups):
    torch.manual_seed(0)
    layer = DynamicConvolution(8, 8, size, 6, stride=stride, groups=groups).eval()
    x, context = torch.randn(3, 8, 9, 7), torch.randn(3, 6)
    shares = (layer.attention(context) / 2).softmax(1)
    kernels = layer.weight.unflatten(0, (KERNELS, 8))
    expected = sum(
        shares[:, k, None, None, None]
        * F.conv2d(x, kernels[k], stride=stride, padding=size // 2, groups=groups)
        for k in range(KERNELS)
    )
    torch.testing.assert_close(layer(x, context, torch.tensor(2.0)), layer.norm(expected))
    torch.testing.assert_close(layer.of_any_batch(x, shares), expected)


def test_a_dynamic_relu_without_coefficients_is_a_relu():
    layer = DynamicReLU(3, 4)
    for parameter in layer.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(layer(x, torch.ones(2, 4)), x.relu())
    layer.coefficients.bias.data[4:8] = torch.tensor([100.0, -100.0, 100.0, 0.0])
    y = layer(x, torch.ones(2, 4))
    torch.testing.assert_close(y[:, 1], torch.maximum(2 * x[:, 1] + 0.5, -x[:, 1]))
    assert torch.equal(y[:, [0, 2]], x[:, [0, 2]].relu())


def test_a_high_temperature_makes_the_kernels_equal():
    torch.manual_seed(0)
    layer = DynamicConvolution(8, 8, 1, 6).eval()
    layer.attention.weight.data *= 10
    x, context = torch.randn(2, 8, 4, 4), torch.randn(2, 6)
    mean = F.conv2d(x, layer.weight.unflatten(0, (KERNELS, 8)).mean(0))
    found = layer(x, context, torch.tensor(1e9))
    torch.testing.assert_close(found, layer.norm(mean))
    assert (layer(x, context, torch.tensor(1.0)) - found).abs().max() > 0.1


def test_the_temperature_falls_by_one_per_epoch_to_one_and_is_stored():
    model = torch.nn.Sequential(build(kernel_temperature=2.5))
    found = []
    for _ in range(3):
        lower_temperature(model)
        found.append(model[0].temperature.item())
    assert found == [1.5, 1.0, 1.0]
    again = build(kernel_temperature=30.0)
    load_all(again, model[0].state_dict())
    assert again.temperature == 1


@pytest.mark.parametrize("temperature", [0.5, -1.0, float("inf"), float("nan")])
def test_a_temperature_below_one_is_an_error(temperature):
    with pytest.raises(
        ConfigError, match="dymn kernel_temperature: found .*, expected a number from 1"
    ):
        build(kernel_temperature=temperature)
