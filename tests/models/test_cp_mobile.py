import json

import pytest
import torch
import torch.nn.functional as F

from config import ConfigError, UserError
from models import MODELS
from models.__main__ import main
from models.cost import cost
from models.cp_mobile import Block, GlobalResponseNorm
from models.published import load_all
from models.shapes import multiple_of_8

LAYERS = (  # the baseline at 65 x 256: products an output, channels, and frames x bands of it
    (9, 8, 33 * 128),
    (9 * 8, 32, 17 * 64),
    *2 * ((32, 64, 17 * 64), (9, 64, 17 * 64), (64, 32, 17 * 64)),
    *((32, 64, 17 * 64), (9, 64, 9 * 64), (64, 32, 9 * 64)),
    *((32, 64, 9 * 64), (9, 64, 9 * 32), (64, 56, 9 * 32)),
    *((56, 120, 9 * 32), (9, 120, 9 * 32), (120, 56, 9 * 32)),
    *((56, 120, 9 * 32), (9, 120, 9 * 32), (120, 104, 9 * 32)),
    (104, 10, 9 * 32),
)

BLOCKS = {  # of base 8: channels before, within and after; stride in frequency and time
    "dcase2024": {
        "s1.b1": (8, 16, 8, (1, 1)),
        "s1.b2": (8, 16, 8, (1, 1)),
        "s1.b3": (8, 16, 8, (1, 2)),
        "s2.b4": (8, 16, 16, (2, 1)),
        "s2.b5": (16, 32, 16, (1, 1)),
        "s3.b6": (16, 32, 24, (1, 1)),
    },
    "dcase2023": {
        "s1.b1": (8, 24, 8, (1, 1)),
        "s1.b2": (8, 24, 8, (2, 2)),
        "s1.b3": (8, 24, 8, (1, 1)),
        "s2.b4": (8, 24, 24, (2, 1)),
        "s2.b5": (24, 72, 24, (1, 1)),
        "s3.b6": (24, 72, 40, (1, 1)),
    },
}


def build(input_shape=(1, 65, 256), **options):
    return MODELS["cp_mobile"](num_classes=10, input_shape=input_shape, **options)


def test_the_baseline_has_the_published_parameters_and_macs(capsys):
    arguments = ["cp_mobile", "base_channels=32", "--classes", "10", "--input", "1x65x256"]
    assert main(arguments) == 0
    figures = json.loads(capsys.readouterr().out)
    weights = sum(products * channels for products, channels, _ in LAYERS)
    normalised = sum(channels for _, channels, _ in LAYERS)
    assert figures["parameters"] == weights + 2 * normalised == 61_148
    assert figures["macs"] == sum(a * b * c for a, b, c in LAYERS) == 29_416_448
    assert figures["macs"] + 2 * normalised == 29_419_156  # as torchinfo counts and DCASE prints


@pytest.mark.parametrize(("base_channels", "parameters"), [(8, 5_722), (16, 18_624), (24, 35_062)])
def test_the_published_sizes(base_channels, parameters):
    assert sum(p.numel() for p in build(base_channels=base_channels).parameters()) == parameters


def test_the_2023_version_has_the_published_parameters_and_macs():
    figures = cost(build((1, 64, 256), version="dcase2023"), (1, 64, 256))
    assert figures.parameters == 126_952
    assert round(figures.macs / 1e6, 1) == 28.9


def test_options_override_those_of_the_version():
    options = {"channels_multiplier": 1.8, "expansion_rate": 2.1}
    narrow = build(version="dcase2023", **options)
    gammas_and_betas = 2 * 6
    assert sum(p.numel() for p in narrow.parameters()) == 61_148 + gammas_and_betas


def test_maps_are_stage_outputs_and_the_embedding_is_the_mean_of_the_last():
    for version, sizes in (
        ("dcase2024", [(32, 9, 64), (56, 9, 32), (104, 9, 32)]),
        ("dcase2023", [(32, 9, 32), (72, 9, 16), (168, 9, 16)]),
    ):
        torch.manual_seed(0)
        model = build(version=version).eval()
        with torch.no_grad():
            output = model(torch.randn(1, 1, 65, 256))
        assert [tuple(m.shape[1:]) for m in output.maps] == sizes
        torch.testing.assert_close(output.embedding, output.maps[-1].flatten(2).mean(2))


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [
        (0.1, 8),
        (8.8, 8),
        (8.9, 16),
        (12, 16),
        (57.6, 56),
        (67.2, 64),
        (103.68, 104),
        (18.7, 24),
        (169.28, 168),
    ],
)
def test_widths_are_multiples_of_8_that_lose_less_than_a_tenth(channels, rounded):
    assert multiple_of_8(channels) == rounded


def block_of_zeros(*arguments):
    """A block whose convolutions add nothing to the input."""
    block = Block(*arguments).eval()
    torch.nn.init.zeros_(block.layers[2][1].weight)
    return block


def test_the_shortcut_of_a_block():
    x = torch.rand(1, 8, 4, 6)
    assert torch.equal(block_of_zeros(8, 8, 2.0, (1, 1), False)(x), x)
    shrunk = block_of_zeros(8, 8, 2.0, (2, 1), False)(x)
    assert shrunk.shape == (1, 8, 2, 6)
    torch.testing.assert_close(shrunk[0, :, 1, 2], x[0, :, 1:4, 1:4].sum((1, 2)) / 9)
    torch.testing.assert_close(shrunk[0, :, 0, 0], x[0, :, :2, :2].sum((1, 2)) / 9)  # zeros outside
    assert not block_of_zeros(8, 16, 2.0, (1, 1), False)(x).any()


def test_the_response_norm_by_hand():
    norm, x = GlobalResponseNorm(), torch.tensor([[[[3.0, 4.0]], [[0.0, -1.0]]]])
    assert torch.equal(norm(x), x)
    torch.nn.init.constant_(norm.gamma, 0.6)
    torch.nn.init.constant_(norm.beta, 0.1)
    # norms of 5 and 1, their mean 3
    expected = torch.tensor([[[[3 + 3 + 0.1, 4 + 4 + 0.1]], [[0.1, -1 - 0.2 + 0.1]]]])
    torch.testing.assert_close(norm(x), expected)


def test_the_response_norm_has_gradients_for_silence_and_runs_in_half_precision():
    norm, x = GlobalResponseNorm(), torch.zeros(1, 2, 3, 3, requires_grad=True)
    norm(x).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))
    assert norm.half()(x.half()).dtype == torch.float16


def test_a_single_clip_of_minimal_length_can_be_trained_on():
    model = build((1, 9, 1)).train()
    assert model(torch.randn(1, 1, 9, 1)).logits.isfinite().all()
    with pytest.raises(ConfigError, match="at least 9 frames and 1 bands, found .* 1 x 8 x 256"):
        build((1, 8, 256))


@pytest.mark.parametrize("option", ["base_channels", "channels_multiplier", "expansion_rate"])
def test_widths_must_be_positive(option):
    with pytest.raises(ConfigError, match=f"cp_mobile {option}: found 0, expected more than 0"):
        build(**{option: 0})


def published_weights(shapes):
    """Random weights of convolutions by their names, and of the normalisation after each."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for (convolution, norm), shape in shapes.items():
        weights[f"{convolution}.weight"] = torch.randn(shape, generator=generator)
        for kind in ("weight", "bias", "running_mean", "running_var"):
            weights[f"{norm}.{kind}"] = torch.rand(shape[0], generator=generator) + 0.5
        weights[f"{norm}.running_var"] *= shape[1] * shape[2] * shape[3]
        weights[f"{norm}.num_batches_tracked"] = torch.tensor(7)
    return weights


def convolved(weights, convolution, norm, image, eps=1e-5, **settings):
    """A published convolution and its normalisation: (B, C, F, T) -> (B, C', F', T')."""
    x = F.conv2d(image, weights[f"{convolution}.weight"], **settings)
    scale, offset, mean, variance = (
        weights[f"{norm}.{kind}"][:, None, None]
        for kind in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / (variance + eps).sqrt() * scale + offset


def published_cp_mobile(version):
    shapes = {("in_c.0.0", "in_c.0.1"): (2, 1, 3, 3), ("in_c.1.0", "in_c.1.1"): (8, 2, 3, 3)}
    responses = {}
    for name, (before, inner, after, _) in BLOCKS[version].items():
        kernels = ((inner, before, 1, 1), (inner, 1, 3, 3), (after, inner, 1, 1))
        for number, kernel in enumerate(kernels):
            layer = f"stages.{name}.block.{number}"
            shapes[f"{layer}.0", f"{layer}.1"] = kernel
        if version == "dcase2023":
            responses[f"stages.{name}.after_block_norm.gamma"] = torch.tensor([0.3])
            responses[f"stages.{name}.after_block_norm.beta"] = torch.tensor([-0.2])
    shapes["feed_forward.0", "feed_forward.1"] = (10, after, 1, 1)
    return published_weights(shapes) | responses


def cp_mobile_by_names(version, weights, mels):
    """The published network, straight from its weights: (B, C, T, F) -> logits."""

    def layer(name, x, **settings):
        return convolved(weights, f"{name}.0", f"{name}.1", x, **settings)

    x = mels.transpose(2, 3)  # frequency up, time across
    for stem in ("in_c.0", "in_c.1"):
        x = layer(stem, x, stride=2, padding=1).relu()
    for name, (before, inner, after, stride) in BLOCKS[version].items():
        block = f"stages.{name}.block"
        y = layer(f"{block}.0", x).relu()
        y = layer(f"{block}.1", y, stride=stride, padding=1, groups=inner).relu()
        y = layer(f"{block}.2", y)
        if before == after:
            y = y + (x if stride == (1, 1) else F.avg_pool2d(x, 3, stride, 1))
        if version == "dcase2023":
            gamma, beta = (
                weights[f"stages.{name}.after_block_norm.{kind}"] for kind in ("gamma", "beta")
            )
            norms = y.square().sum((2, 3), keepdim=True).sqrt()
            y = y + gamma * y * norms / (norms.mean(1, keepdim=True) + 1e-6) + beta
        x = y.relu()
    return convolved(weights, "feed_forward.0", "feed_forward.1", x).mean((2, 3))


@pytest.mark.parametrize("prefix", ["", "model."], ids=["alone", "lightning"])
@pytest.mark.parametrize("version", sorted(BLOCKS))
def test_the_published_weights_give_the_published_logits(version, prefix):
    published = published_cp_mobile(version)
    model = build((1, 37, 45), base_channels=8, version=version).eval()
    load_all(model, {prefix + name: tensor for name, tensor in published.items()})
    mels = torch.randn(2, 1, 37, 45, generator=torch.Generator().manual_seed(1))
    expected = cp_mobile_by_names(version, published, mels)
    assert expected.std() > 0.1
    with torch.no_grad():
        torch.testing.assert_close(model(mels).logits, expected, rtol=1e-4, atol=1e-5)


def test_published_weights_of_the_other_version_are_an_error():
    with pytest.raises(UserError, match=r"blocks\.b1\.response_norm\.gamma is unexpected"):
        load_all(build(base_channels=8), published_cp_mobile("dcase2023"))
