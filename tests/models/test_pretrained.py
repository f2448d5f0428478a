"""Initial weights from ImageNet, whose place randomly initialised timm models take."""

import pytest
import timm
import torch
import torch.nn.functional as F

from config import ConfigError, UserError
from models import MODELS
from models.pretrained import imagenet_weights, is_imagenet, load_backbone


@pytest.fixture(scope="module")
def deit():
    torch.manual_seed(0)
    weights = timm.create_model("deit_tiny_distilled_patch16_224").state_dict()
    return {name: torch.randn_like(tensor) for name, tensor in weights.items()}


@pytest.fixture(scope="module")
def b0():
    torch.manual_seed(0)
    return timm.create_model("efficientnet_b0").state_dict()


def ast(frames=258, bands=128, channels=1, **options):
    return MODELS["ast"](
        num_classes=3, input_shape=(channels, frames, bands), size="tiny", **options
    )


def efficientnet(channels=1, **options):
    return MODELS["efficientnet"](num_classes=3, input_shape=(channels, 70, 40), **options)


@pytest.fixture(scope="module")
def initialised(deit):
    """A model of 25 x 12 patches from 14 x 14 positions, and its classifier before."""
    torch.manual_seed(0)
    model = ast()
    before = model.classifier[1].weight.clone()
    load_backbone(model, deit)
    return model, before


def test_the_colours_are_summed_and_time_is_the_width(initialised, deit):
    model, _ = initialised
    expected = deit["patch_embed.proj.weight"].sum(1, keepdim=True).transpose(2, 3)
    torch.testing.assert_close(model.patch_embed.weight, expected)


def test_positions_are_cropped_in_frequency_and_interpolated_in_time(initialised, deit):
    model, _ = initialised
    square = deit["pos_embed"][0, 2:].T.unflatten(1, (14, 14))[None]  # frequency up, time across
    wider = F.interpolate(square, size=(14, 25), mode="bilinear")[0, :, 1:13]
    torch.testing.assert_close(
        model.positions, wider.permute(2, 1, 0), rtol=1e-4, atol=1e-5, check_device=False
    )
    special = torch.cat((deit["cls_token"], deit["dist_token"]), 1)[0]
    torch.testing.assert_close(model.special_tokens, special + deit["pos_embed"][0, :2])


def test_the_blocks_are_loaded_and_the_classifier_is_not(initialised, deit):
    model, before = initialised
    blocks = {name: tensor for name, tensor in deit.items() if name.startswith("blocks.")}
    assert len(blocks) == 12 * 12
    for name, tensor in blocks.items():
        assert torch.equal(model.state_dict()[name], tensor)
    assert torch.equal(model.norm.weight, deit["norm.weight"])
    assert torch.equal(model.classifier[1].weight, before)


@pytest.mark.parametrize(("colours", "share"), [("sum", 1), ("average", 3)])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_channels_of_an_efficientnet_have_equal_weights(b0, colours, share, channels):
    model = efficientnet(channels).eval()
    head = model.classifier.weight.clone()
    load_backbone(model, b0, colours)
    theirs = timm.create_model("efficientnet_b0").eval()
    theirs.load_state_dict(b0)
    mel = torch.randn(1, 1, 70, 40)
    with torch.no_grad():
        found = model(mel.expand(-1, channels, -1, -1)).maps[-1]
        images = mel.transpose(2, 3).expand(-1, 3, -1, -1) / share
        expected = theirs.forward_features(images).transpose(2, 3)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert torch.equal(model.classifier.weight, head)


def test_weights_of_other_classes_and_lengths_are_loaded():
    model, other = (ast(frames, depth=1) for frames in (98, 258))
    other.classifier[1] = torch.nn.Linear(192, 7)
    head = model.classifier[1].weight.clone()
    load_backbone(model, other.state_dict())
    assert torch.equal(model.positions, other.positions[8:17])
    assert torch.equal(model.patch_embed.weight, other.patch_embed.weight)
    assert torch.equal(model.classifier[1].weight, head)


def passt(frames=258, **options):
    options = {"size": "micro", "depth": 1} | options
    return MODELS["passt"](num_classes=3, input_shape=(1, frames, 128), **options)


def test_image_positions_are_resized_and_split_as_in_the_published_passt(deit):
    torch.manual_seed(0)
    model = passt(size="tiny", depth=12)
    load_backbone(model, deit)
    square = deit["pos_embed"][0, 2:].T.unflatten(1, (14, 14))[None]  # frequency up, time across
    stretched = F.interpolate(square, size=(12, 25), mode="bicubic")[0]
    torch.testing.assert_close(model.time_positions, stretched.mean(1).T, check_device=False)
    torch.testing.assert_close(model.frequency_positions, stretched.mean(2).T, check_device=False)
    grey = deit["patch_embed.proj.weight"].sum(1, keepdim=True).transpose(2, 3)
    torch.testing.assert_close(model.patch_embed.weight, grey)


def test_a_passt_for_shorter_clips_keeps_all_or_the_first_positions():
    other = passt(258)
    for model, kept in ((passt(98), 9), (passt(98, time_patches=25), 25)):
        head = model.classifier[1].weight.clone()
        load_backbone(model, other.state_dict())
        assert torch.equal(model.time_positions, other.time_positions[:kept])
        assert torch.equal(model.frequency_positions, other.frequency_positions)
        assert torch.equal(model.classifier[1].weight, head)


def test_a_published_passt_is_not_imagenet():
    names = ("patch_embed.proj.weight", "time_new_pos_embed")
    assert not is_imagenet(passt(), dict.fromkeys(names, torch.zeros(1)))
    assert is_imagenet(passt(), {names[0]: torch.zeros(1)})


def test_the_hidden_layer_of_a_mobilenet_is_kept_for_other_classes():
    torch.manual_seed(0)
    model, other = (
        MODELS["mn"](num_classes=n, input_shape=(1, 70, 40), width_mult=0.1) for n in (3, 7)
    )
    head = model.classifier.weight.clone()
    load_backbone(model, other.state_dict())
    assert torch.equal(model.fc[0].weight, other.fc[0].weight)
    assert torch.equal(model.classifier.weight, head)


def test_weights_of_another_size_are_an_error_and_change_nothing(deit, b0):
    model = ast(depth=11)
    before = model.norm.weight.clone()
    with pytest.raises(UserError, match=r"blocks\.11\.norm1\.weight is unexpected"):
        load_backbone(model, deit)
    assert torch.equal(model.norm.weight, before)
    with pytest.raises(UserError, match=r"is 32x1x3x3, expected 8x1x3x3"):
        load_backbone(efficientnet(width_mult=0.1), b0)


def test_is_imagenet(deit, b0):
    model = ast(depth=1)
    assert is_imagenet(model, deit)
    assert is_imagenet(model, b0)
    assert not is_imagenet(model, model.state_dict())
    small = MODELS["dcase_small"](num_classes=3, input_shape=(1, 70, 40))
    assert not is_imagenet(small, deit)


@pytest.mark.parametrize(
    ("name", "options", "called"),
    [
        ("ast", {"size": "base"}, "deit_base_distilled_patch16_384"),
        ("efficientnet", {"variant": "b2"}, "efficientnet_b2"),
        ("efficientnet", {"variant": "b6"}, "tf_efficientnet_b6"),
        (
            "efficientnet",
            {"variant": "b2", "conventions": "tensorflow"},
            "tf_efficientnet_b2.aa_in1k",
        ),
    ],
)
def test_the_weights_are_downloaded_through_timm(monkeypatch, name, options, called):
    def create_model(name, pretrained):
        assert pretrained
        raise RuntimeError(f"no way to {name}\nlong story")

    monkeypatch.setattr(timm, "create_model", create_model)
    with torch.device("meta"):
        model = MODELS[name](num_classes=3, input_shape=(1, 70, 40), **options)
    with pytest.raises(UserError) as error:
        imagenet_weights(model)
    assert f"the ImageNet weights {called} cannot be downloaded: no way to {called}." in str(
        error.value
    )
    assert "leave INIT empty for random weights" in str(error.value)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dcase_small", {}),
        ("ast", {"size": "micro"}),
        ("ast", {"size": "tiny", "depth": 6}),
        ("efficientnet", {"width_mult": 0.5}),
    ],
)
def test_a_model_without_imagenet_weights(name, options):
    with torch.device("meta"):
        model = MODELS[name](num_classes=3, input_shape=(1, 70, 40), **options)
    with pytest.raises(ConfigError, match="there are no such weights for"):
        imagenet_weights(model)


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_b7", "efficientnet_b5", "tf_efficientnet_b6.aa_in1k"]
)
def test_timm_has_these_weights(name):
    assert timm.get_pretrained_cfg(name).has_weights
