import pytest
import torch

from config import ConfigError
from models import MODELS
from models.cost import cost
from models.mel_resnet import Block


def build(input_shape=(2, 248, 256), **options):
    return MODELS["mel_resnet"](num_classes=10, input_shape=input_shape, **options)


@pytest.mark.parametrize(("downsampling", "frames"), [("stride", 21), ("pooling", 20)])
def test_the_published_sizes(downsampling, frames):
    model = build(downsampling=downsampling).to("meta").eval()
    mel = torch.zeros(1, 2, 248, 256, device="meta")
    assert model.stem(mel).shape == (1, 30, 248, 252)
    shapes = [tuple(m.shape[1:]) for m in model(mel).maps]
    assert shapes == [(30, 248, 252), (60, 124, 126), (120, 62, 63), (240, frames, 21)]
    assert model(mel).embedding.shape == (1, 240)


@pytest.mark.parametrize("downsampling", ["stride", "pooling"])
def test_the_parameters_of_the_reconstruction(downsampling):
    convolutions = 9 * (2 * 30 * 30 + 30 * 60 + 60 * 60 + 60 * 120 + 120 * 120)
    convolutions += 9 * (120 * 240 + 240 * 240)
    shortcuts = 30 * 60 + 60 * 120 + 120 * 240
    norms = 2 * (30 + 30 + 30 + 60 + 60 + 120 + 120 + 240 + 240)
    expected = 2 * 30 * 49 + convolutions + shortcuts + norms + 240 * 10 + 10
    found = cost(build(downsampling=downsampling), (2, 248, 256)).parameters
    assert found == expected == 1_081_810


def test_a_block_by_hand():
    """Kernels that are zero except at the centre act per value."""
    block = Block(1, 2, 2, "stride").eval()
    with torch.no_grad():
        for conv, tap in ((block.conv1, 2.0), (block.conv2, 1.5), (block.projection, 1.0)):
            conv.weight.zero_()
            centre = conv.kernel_size[0] // 2
            conv.weight[:, 0, centre, centre] = tap
        x = torch.tensor([[1.0, 9.0, -2.0], [9.0, 9.0, 9.0], [3.0, 9.0, 4.0]])[None, None]
        found = block(x)
    kept = torch.tensor([[1.0, 0.0], [3.0, 4.0]])  # every second value, none below zero
    expected = (1.5 * 2.0 * kept + kept).expand(1, 2, 2, 2)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_the_first_block_has_an_identity_shortcut():
    block = Block(3, 3, 1, "stride").eval()
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 3, 5, 4)
    assert torch.equal(block(x), x)


def test_a_single_clip_of_minimal_size_can_be_trained_on():
    for downsampling in ("stride", "pooling"):
        model = build((1, 24, 16), width_mult=0.1, downsampling=downsampling).train()
        assert model(torch.randn(1, 1, 24, 16)).logits.isfinite().all()
    for input_shape in ((1, 23, 16), (1, 24, 15)):
        with pytest.raises(ConfigError, match="at least 24 frames and 16 bands"):
            build(input_shape)
