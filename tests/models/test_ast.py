import pytest
import torch

from config import ConfigError
from models import MODELS
from models.cost import cost
from models.vision_transformer import interpolate_positions, map_ends


def build(frames=1024, bands=128, classes=527, **options):
    return MODELS["ast"](num_classes=classes, input_shape=(1, frames, bands), **options)


@pytest.mark.parametrize(("size", "millions"), [("tiny", 5.7), ("small", 22.1), ("base", 86.6)])
def test_the_published_parameters(size, millions):
    with torch.device("meta"):
        model = build(size=size)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("frames", "strides", "grid"),
    [(1024, {}, (101, 12)), (1000, {}, (99, 12)), (512, {"stride_time": 16}, (32, 12))],
)
def test_the_patches(frames, strides, grid):
    with torch.device("meta"):
        model = build(frames, size="micro", depth=1, **strides)
        (feature_map,) = model(torch.zeros(1, 1, frames, 128)).maps
    assert feature_map.shape == (1, 128, *grid)


def test_the_multiply_accumulates_by_hand():
    with torch.device("meta"):
        model = build(size="tiny")
    width, tokens = 192, 101 * 12 + 2
    block = tokens * width * (3 + 1 + 4 + 4) * width + 2 * tokens * tokens * width
    expected = 101 * 12 * 16 * 16 * width + 12 * block + width * 527
    assert cost(model, (1, 1024, 128)).macs == expected


@pytest.mark.parametrize("frames", [98, 498, 998])
def test_a_clip_of_1_5_or_10_s_crops_the_positions(frames):
    torch.manual_seed(0)
    model = build(498, 32, 3, size="micro", depth=1).eval()
    twin = build(frames, 32, 3, size="micro", depth=1).eval()
    weights = model.state_dict()
    positions = interpolate_positions(weights["positions"], 0, (frames - 16) // 10 + 1)
    twin.load_state_dict(weights | {"positions": positions})
    clips = torch.randn(2, 1, frames, 32)
    with torch.no_grad():
        assert torch.equal(model(clips).logits, twin(clips).logits)


def test_a_map_has_the_grid_of_the_patches():
    torch.manual_seed(0)
    model = build(56, 36, 3, size="micro", depth=1).eval()  # 5 x 3 patches
    for parameter in model.blocks.parameters():
        torch.nn.init.zeros_(parameter)  # the block adds nothing
    clips = torch.randn(2, 1, 56, 36)
    with torch.no_grad():
        (found,) = model(clips).maps
        expected = model.patch_embed(clips) + model.positions.permute(2, 0, 1)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("depth", "ends"), [(1, {1}), (2, {1, 2}), (5, {2, 3, 4, 5}), (12, {3, 6, 9, 12})]
)
def test_the_maps_are_those_at_each_quarter(depth, ends):
    assert map_ends(depth) == ends


@pytest.mark.parametrize("option", ["depth", "stride_time", "stride_frequency"])
def test_options_must_be_positive(option):
    with pytest.raises(ConfigError, match=f"ast {option}: found 0, expected at least 1"):
        build(**{option: 0})
