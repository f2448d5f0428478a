import pytest
import torch
import torch.nn.functional as F

from config import ConfigError
from models import MODELS
from models.cost import cost
from models.published import load_all
from tests.models.test_cp_mobile import convolved, published_weights


def build(input_shape=(1, 43, 256), **options):
    return MODELS["cp_resnet"](num_classes=10, input_shape=input_shape, **options)


def test_the_published_parameters_and_macs_by_hand():
    figures = cost(build(), (1, 43, 256))
    layers = (  # products an output, channels, frames x bands of it
        (25, 32, 21 * 127),
        *((9 * 32, 32, 10 * 63), (32, 32, 10 * 63)),
        *2 * ((9 * 32, 32, 10 * 31),),
        *((9 * 16, 64, 10 * 15), (9 * 32, 64, 10 * 15), (16, 64, 10 * 15)),  # in two groups
        *((9 * 64, 92, 10 * 15), (92, 92, 10 * 15), (64, 92, 10 * 15)),
        (92, 10, 10 * 15),
    )
    weights = sum(products * channels for products, channels, _ in layers)
    normalised = sum(channels for _, channels, _ in layers)
    assert figures.parameters == weights + 2 * normalised == 127_684
    assert figures.macs == sum(a * b * c for a, b, c in layers) == 28_839_120


@pytest.mark.parametrize(
    ("rho", "frames", "bands"),
    [  # 7 after the pooled stem; each 3x3 adds 2 steps of 4 frames, and of 4, 8, 16 bands
        (1, 7 + 8, 7 + 8 + 4 + 8),
        (4, 7 + 4 * 8, 7 + 8 + 4 + 2 * 16 + 8 + 32),
        (8, 7 + 6 * 8, 7 + 8 + 4 + 2 * 16 + 8 + 3 * 32),
    ],
)
def test_rho_bounds_the_receptive_field(rho, frames, bands):
    model = build(rho=rho, base_channels=12).double().eval()
    for parameter in model.parameters():
        torch.nn.init.ones_(parameter)
        if parameter.ndim == 4:
            parameter.data /= parameter[0].numel()
    in_time = torch.zeros(1 + 80, 1, 80, 17, dtype=torch.float64)  # silence, then a click a clip
    in_time[range(1, 81), 0, range(80), 8] = 1e6
    in_frequency = torch.zeros(1 + 256, 1, 9, 256, dtype=torch.float64)
    in_frequency[range(1, 257), 0, 4, range(256)] = 1e6
    with torch.no_grad():
        for clicks, place, expected in (
            (in_time, (9, 0), frames),
            (in_frequency, (0, 7), bands),
        ):
            value = model(clicks).maps[-1][:, 0, *place]
            assert (value > value[0] + 1e-6).sum() == expected


def test_the_initialisation_is_the_identity_with_equal_logits():
    torch.manual_seed(0)
    model = build((1, 32, 20)).eval()
    x = torch.rand(2, 32, 5, 4)
    assert torch.equal(model.blocks[0](x), x)
    with torch.no_grad():
        output = model(torch.randn(2, 1, 32, 20))
    assert not output.logits.any()
    assert output.embedding.std() > 0


def test_maps_are_stage_outputs_and_the_embedding_is_the_mean_of_the_last():
    model = build(base_channels=14).eval()
    with torch.no_grad():
        output = model(torch.randn(1, 1, 43, 256))
    assert [tuple(m.shape[1:]) for m in output.maps] == [(14, 10, 15), (28, 10, 15), (20, 10, 15)]
    torch.testing.assert_close(output.embedding, output.maps[-1].flatten(2).mean(2))


def test_a_single_clip_of_minimal_size_can_be_trained_on():
    model = build((1, 9, 17)).train()
    assert model(torch.randn(1, 1, 9, 17)).logits.isfinite().all()
    for shape in ((1, 8, 17), (1, 9, 16)):
        with pytest.raises(ConfigError, match="cp_resnet: requires at least 9 frames and 17 bands"):
            build(shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rho": 0}, "cp_resnet rho: found 0, expected 1 to 9"),
        ({"rho": 10}, "cp_resnet rho: found 10, expected 1 to 9"),
        ({"base_channels": 10}, "base_channels: found 10, expected an even number of at least 12"),
        ({"base_channels": 33}, "base_channels: found 33, expected an even number of at least 12"),
    ],
)
def test_options_out_of_range_are_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        build(**options)


BLOCKS = {  # of base 12: channels before and after, the two kernels, groups
    "stage1.block1": (12, 12, (3, 1), 1),
    "stage1.block2": (12, 12, (3, 3), 1),
    "stage2.block1": (12, 24, (3, 3), 2),
    "stage3.block1": (24, 12, (3, 1), 1),
}


def published_cp_resnet():
    shapes = {("in_c.0", "in_c.1"): (12, 1, 5, 5)}
    for name, (before, after, (first, second), groups) in BLOCKS.items():
        shapes[f"{name}.conv1", f"{name}.bn1"] = (after, before // groups, first, first)
        shapes[f"{name}.conv2", f"{name}.bn2"] = (after, after // groups, second, second)
        if before != after:
            shapes[f"{name}.shortcut.conv", f"{name}.shortcut.bn"] = (after, before // groups, 1, 1)
    shapes["feed_forward.0", "feed_forward.1"] = (10, 12, 1, 1)
    return published_weights(shapes)


def cp_resnet_by_names(weights, mels):
    """The published network, straight from its weights: (B, C, T, F) -> logits."""
    image = mels.transpose(2, 3)  # frequency up, time across
    x = convolved(weights, "in_c.0", "in_c.1", image, stride=2, padding=1).relu()
    x = F.max_pool2d(x, 2)
    for name, (before, after, sizes, groups) in BLOCKS.items():
        y = x
        for number, size in enumerate(sizes, start=1):
            convolution, norm = f"{name}.conv{number}", f"{name}.bn{number}"
            y = y.relu() if number > 1 else y
            y = convolved(weights, convolution, norm, y, padding=size // 2, groups=groups)
        if before != after:
            shortcut = f"{name}.shortcut.conv", f"{name}.shortcut.bn"
            x = convolved(weights, *shortcut, x, groups=groups)
        x = (x + y).relu()
        if name.startswith("stage1"):
            x = F.max_pool2d(x, (2, 1))
    return convolved(weights, "feed_forward.0", "feed_forward.1", x).mean((2, 3))


def test_the_published_weights_give_the_published_logits():
    published = published_cp_resnet()
    model = build((1, 38, 45), base_channels=12).eval()
    load_all(model, published)
    mels = torch.randn(2, 1, 38, 45, generator=torch.Generator().manual_seed(1))
    expected = cp_resnet_by_names(published, mels)
    assert expected.std() > 0.1
    with torch.no_grad():
        torch.testing.assert_close(model(mels).logits, expected, rtol=1e-4, atol=1e-5)
