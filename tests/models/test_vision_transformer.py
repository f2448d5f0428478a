import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.vision_transformer import Block, interpolate_positions


def test_positions_of_the_same_length_are_unchanged():
    positions = torch.randn(7, 3)
    assert torch.equal(interpolate_positions(positions, 0, 7), positions)


@pytest.mark.parametrize(
    ("found", "length", "first"), [(24, 12, 6), (24, 9, 8), (101, 50, 25), (5, 4, 0), (4, 1, 2)]
)
def test_a_shorter_axis_is_cropped_to_the_middle_as_in_the_published_code(found, length, first):
    positions = torch.randn(2, found)
    assert torch.equal(
        interpolate_positions(positions, 1, length), positions[:, first : first + length]
    )


@pytest.mark.parametrize("first", [0, 3, torch.tensor(4)])
def test_a_crop_can_start_elsewhere(first):
    positions = torch.randn(9, 2)
    assert torch.equal(interpolate_positions(positions, 0, 5, first), positions[first : first + 5])


@pytest.mark.parametrize(("found", "length"), [(24, 101), (12, 13), (1, 4)])
def test_a_longer_axis_is_interpolated_as_in_the_published_code(found, length):
    positions = torch.randn(found, 5, 3)
    image = positions.permute(2, 0, 1)[None]
    expected = F.interpolate(image, size=(length, 5), mode="bilinear")[0].permute(1, 2, 0)
    torch.testing.assert_close(
        interpolate_positions(positions, 0, length), expected, rtol=1e-5, atol=1e-5
    )


def test_interpolation_by_hand():
    # Centres of 4 cells over those of 2, in units of the 2: 0.25, 0.75, 1.25, 1.75, less a half.
    assert interpolate_positions(torch.tensor([0.0, 8.0]), 0, 4).tolist() == [0.0, 2.0, 6.0, 8.0]


def test_a_block_equals_that_of_pytorch():
    torch.manual_seed(0)
    block = Block(128, 2).eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.2)
    theirs = nn.TransformerEncoderLayer(
        128,
        2,
        dim_feedforward=512,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=1e-6,
        batch_first=True,
        norm_first=True,
    )
    names = {
        "norm1": "norm1",
        "attn.proj": "self_attn.out_proj",
        "norm2": "norm2",
        "mlp.fc1": "linear1",
        "mlp.fc2": "linear2",
    }
    own = block.state_dict()
    weights = {
        f"{there}.{kind}": own[f"{here}.{kind}"]
        for here, there in names.items()
        for kind in ("weight", "bias")
    }
    weights |= {f"self_attn.in_proj_{kind}": own[f"attn.qkv.{kind}"] for kind in ("weight", "bias")}
    theirs.load_state_dict(weights)
    x = torch.randn(2, 5, 128)
    with torch.no_grad():
        torch.testing.assert_close(block(x), theirs.eval()(x), rtol=1e-4, atol=1e-4)
