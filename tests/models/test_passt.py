import pytest
import torch

from config import ConfigError
from models import MODELS
from models.cost import cost
from models.vision_transformer import interpolate_positions


def build(frames=56, bands=36, classes=3, **options):
    """By default 5 x 3 patches."""
    options = {"size": "micro", "depth": 1} | options
    return MODELS["passt"](num_classes=classes, input_shape=(1, frames, bands), **options)


@pytest.mark.parametrize(("depth", "published"), [(12, 86_153_758), (7, 50_714_398)])
def test_the_published_parameters_without_the_second_classifier(depth, published):
    with torch.device("meta"):
        model = build(998, 128, 527, size="base", depth=depth)
    spared = 2 * 768 + 768 * 527 + 527  # special tokens are their positions; one head, not two
    assert sum(p.numel() for p in model.parameters()) == published - spared


@pytest.mark.parametrize(("training", "patches"), [(False, 99 * 12), (True, 59 * 8)])
def test_the_multiply_accumulates_by_hand(training, patches):
    with torch.device("meta"):
        model = build(998, 128, 527, size="tiny", depth=12, patchout_time=40, patchout_frequency=4)
    width, tokens = 192, patches + 2
    block = tokens * width * (3 + 1 + 4 + 4) * width + 2 * tokens * tokens * width
    expected = 99 * 12 * 16 * 16 * width + 12 * block + width * 527
    assert cost(model, (1, 998, 128), training).macs == expected


@pytest.fixture(scope="module")
def without_blocks():
    """A model whose blocks are the identity: the maps are the embedded patches with positions."""

    def build_bare(**options):
        torch.manual_seed(0)
        model = build(**options).train()
        for parameter in model.blocks.parameters():
            torch.nn.init.zeros_(parameter)
        return model

    return build_bare


@torch.no_grad()
def last_map(model, clips, seed=0):
    torch.manual_seed(seed)
    return model(clips).maps[-1]


CLIPS = torch.randn(2, 1, 56, 36, generator=torch.Generator().manual_seed(0))


def test_a_patch_has_a_position_in_time_and_one_in_frequency(without_blocks):
    model = without_blocks()
    with torch.no_grad():
        expected = model.patch_embed(CLIPS)
        expected += model.time_positions.T[:, :, None] + model.frequency_positions.T[:, None]
    torch.testing.assert_close(last_map(model, CLIPS), expected)


def test_structured_patchout_drops_whole_columns_and_rows_in_training_only(without_blocks):
    model = without_blocks(patchout_time=2, patchout_frequency=1)
    whole = last_map(model.eval(), CLIPS)
    assert whole.shape == (2, 128, 5, 3)
    chosen = set()
    for seed in range(20):
        left = last_map(model.train(), CLIPS, seed)
        assert left.shape == (2, 128, 3, 2)
        there = torch.isin(whole[0, 0], left[0, 0])
        columns, rows = (there.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        assert torch.equal(whole[:, :, columns][..., rows], left)  # equal in all clips
        chosen.add((*columns, *rows))
    assert len(chosen) > 10  # of 10 x 3


def test_unstructured_patchout_drops_remaining_patches(without_blocks):
    model = without_blocks(patchout_time=2, patchout=4)
    whole = last_map(model.eval(), CLIPS).flatten(2)
    left = last_map(model.train(), CLIPS)
    assert left.shape == (2, 3 * 3 - 4, 128)  # in no grid
    places = [torch.nonzero(whole[0, 0] == value).item() for value in left[0, :, 0]]
    assert len({place // 3 for place in places}) <= 3
    assert torch.equal(whole[:, :, places].transpose(1, 2), left)


def test_the_same_seed_drops_the_same_patches(without_blocks):
    model = without_blocks(patchout=4, time_patches=9)
    one, again, other = (last_map(model, CLIPS, seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_short_clip_takes_random_positions_in_training_and_the_first_in_evaluation(
    without_blocks,
):
    model = without_blocks(time_patches=8)
    positions = model.time_positions.detach()
    model.frequency_positions.data.zero_()
    with torch.no_grad():
        heard = model.patch_embed(CLIPS)
    taken = last_map(model.eval(), CLIPS) - heard
    torch.testing.assert_close(taken[0, :, :, 0].T, positions[:5])
    firsts = set()
    for seed in range(20):
        taken = (last_map(model.train(), CLIPS, seed) - heard)[0, :, :, 0].T
        distances = [float((taken - positions[n : n + 5]).abs().max()) for n in range(4)]
        assert min(distances) < 1e-5
        firsts.add(distances.index(min(distances)))
    assert firsts == {0, 1, 2, 3}


@pytest.mark.parametrize("frames", [36, 96])
def test_positions_of_another_length_are_cropped_or_interpolated(frames):
    torch.manual_seed(0)
    model, twin = build().eval(), build(frames).eval()
    columns = (frames - 16) // 10 + 1
    positions = interpolate_positions(model.time_positions.detach(), 0, columns, 0)
    if columns < 5:
        assert torch.equal(positions, model.time_positions[:columns])
    twin.load_state_dict(model.state_dict() | {"time_positions": positions})
    clips = torch.randn(2, 1, frames, 36)
    with torch.no_grad():
        assert torch.equal(model(clips).logits, twin(clips).logits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride_time": 0}, "passt stride_time: found 0, expected at least 1"),
        ({"depth": 0}, "passt depth: found 0, expected at least 1"),
        (
            {"time_patches": 4},
            "passt time_patches: found 4, expected 0 or at least the 5 of a clip",
        ),
        (
            {"time_patches": -1},
            "passt time_patches: found -1, expected 0 or at least the 5 of a clip",
        ),
        ({"patchout_time": -1}, "passt patchout_time: found -1, expected at least 0"),
        ({"patchout_time": 5}, "patchout_time 5 and patchout_frequency 0: of 5 x 3 patches"),
        ({"patchout_frequency": 4}, "found 0, patchout_time 0 and patchout_frequency 4: of 5 x 3"),
        ({"patchout_time": 3, "patchout": 6}, "(time x frequency) none would be left"),
    ],
)
def test_options_out_of_range_are_errors_with_their_values(options, message):
    with pytest.raises(ConfigError) as error:
        build(**options)
    assert message in str(error.value)


def test_a_single_patch_is_enough(without_blocks):
    assert last_map(without_blocks(patchout_time=3, patchout=5), CLIPS).shape == (2, 1, 128)
