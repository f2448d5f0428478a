"""PSLA's EfficientNet, computed from a state dict with its published names."""

import pytest
import torch
import torch.nn.functional as F

from config import UserError
from models import MODELS
from models.pretrained import load_backbone
from models.published import load_all

CLASSES = 3
LAST = 128  # channels, of 1280 at a width of 0.1
STAGES = (  # kernel, stride, expansion, channels at this width, blocks at a depth of 0.5
    (3, 1, 1, 8, 1),
    (3, 2, 6, 8, 1),
    (5, 2, 6, 8, 1),
    (3, 2, 6, 8, 2),
    (5, 1, 6, 16, 2),
    (5, 2, 6, 24, 2),
    (3, 1, 6, 32, 1),
)
PADS = {  # of the convolutions with a stride of 2: zeros at the start and the end
    "b0": [(0, 1), (0, 1), (1, 2), (0, 1), (1, 2)],  # sizes 224, 112, 56, 28, 14
    "b2": [(0, 1), (0, 1), (2, 2), (1, 1), (2, 2)],  # 260, 130, 65, 33, 17
}


def blocks():
    """(kernel, stride, expansion, channels in, channels out) of each block."""
    channels = 8
    for kernel, stride, expansion, out, number in STAGES:
        for k in range(number):
            yield kernel, stride if k == 0 else 1, expansion, channels, out
            channels = out


def published(pooling="attention"):
    generator = torch.Generator().manual_seed(0)
    weights = {}

    def conv(name, out, channels, size, bias=False):
        fan = channels * size * size
        weights[f"{name}.weight"] = (2 / fan) ** 0.5 * torch.randn(
            out, channels, size, size, generator=generator
        )
        if bias:
            weights[f"{name}.bias"] = 0.1 * torch.randn(out, generator=generator)

    def norm(name, channels):
        for kind, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.3, 0.3),
            ("running_mean", -0.5, 0.5),
            ("running_var", 0.1, 2.0),
        ):
            uniform = torch.rand(channels, generator=generator)
            weights[f"{name}.{kind}"] = low + (high - low) * uniform
        weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("effnet._conv_stem", 8, 1, 3)
    norm("effnet._bn0", 8)
    for number, (kernel, _, expansion, channels, out) in enumerate(blocks()):
        block, inner, squeezed = f"effnet._blocks.{number}", expansion * channels, channels // 4
        if expansion > 1:
            conv(f"{block}._expand_conv", inner, channels, 1)
            norm(f"{block}._bn0", inner)
        conv(f"{block}._depthwise_conv", inner, 1, kernel)
        norm(f"{block}._bn1", inner)
        conv(f"{block}._se_reduce", squeezed, inner, 1, bias=True)
        conv(f"{block}._se_expand", inner, squeezed, 1, bias=True)
        conv(f"{block}._project_conv", out, inner, 1)
        norm(f"{block}._bn2", out)
    conv("effnet._conv_head", LAST, 32, 1)
    norm("effnet._bn1", LAST)
    if pooling == "attention":
        weights["attention.head_weight"] = torch.tensor([0.4, 0.1, 0.3, 0.1])
        for head in range(4):
            conv(f"attention.att.{head}", CLASSES, LAST, 1, bias=True)
            conv(f"attention.cla.{head}", CLASSES, LAST, 1, bias=True)
    else:
        conv("attention.cla", CLASSES, LAST, 1, bias=True)
    return {f"module.{name}": tensor for name, tensor in weights.items()}


def psla_by_names(weights, mels, variant):
    """The published network, computed from its weights: (B, T, F) -> probabilities."""
    weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    pads = iter(PADS[variant])

    def conv(name, x, stride=1):
        kernel, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
        start, end = next(pads) if stride == 2 else [kernel.shape[2] // 2] * 2
        groups = x.shape[1] if "depthwise" in name else 1
        return F.conv2d(
            F.pad(x, (start, end, start, end)), kernel, bias, stride=stride, groups=groups
        )

    def norm(name, x):
        kinds = ("running_mean", "running_var", "weight", "bias")
        mean, var, scale, shift = (
            weights[f"{name}.{kind}"].double()[:, None, None] for kind in kinds
        )
        return ((x.double() - mean) / (var + 1e-3).sqrt() * scale + shift).float()

    x = mels.transpose(1, 2)[:, None]  # frequency up, time across
    x = F.silu(norm("effnet._bn0", conv("effnet._conv_stem", x, stride=2)))
    for number, (_, stride, expansion, channels, out) in enumerate(blocks()):
        block, inner = f"effnet._blocks.{number}", x
        if expansion > 1:
            inner = F.silu(norm(f"{block}._bn0", conv(f"{block}._expand_conv", inner)))
        inner = F.silu(norm(f"{block}._bn1", conv(f"{block}._depthwise_conv", inner, stride)))
        gate = F.silu(conv(f"{block}._se_reduce", inner.mean((2, 3), keepdim=True)))
        inner = inner * conv(f"{block}._se_expand", gate).sigmoid()
        inner = norm(f"{block}._bn2", conv(f"{block}._project_conv", inner))
        x = inner + x if stride == 1 and channels == out else inner
    x = F.silu(norm("effnet._bn1", conv("effnet._conv_head", x))).mean(2, keepdim=True)
    if "attention.head_weight" not in weights:
        return conv("attention.cla", x).sigmoid().mean((2, 3))
    total = 0
    for head, share in enumerate(weights["attention.head_weight"]):
        attention = conv(f"attention.att.{head}", x).sigmoid().clamp(1e-7, 1 - 1e-7)
        present = conv(f"attention.cla.{head}", x).sigmoid()
        total = total + share * (attention * present).sum((2, 3)) / attention.sum((2, 3))
    return total


def efficientnet(input_shape=(1, 100, 128), **options):
    options = {"conventions": "tensorflow", "pooling": "attention"} | options
    # b2 is 1.1 wide and 1.2 deep
    width, depth = {"b0": (0.1, 0.5), "b2": (0.1 / 1.1, 0.5 / 1.2)}[options.get("variant", "b0")]
    return MODELS["efficientnet"](
        num_classes=CLASSES,
        input_shape=input_shape,
        width_mult=width,
        depth_mult=depth,
        **options,
    ).eval()


@pytest.mark.parametrize("pooling", ["attention", "mean_probability"])
@pytest.mark.parametrize("variant", ["b0", "b2"])
def test_the_published_psla_gives_the_same_probabilities(variant, pooling):
    weights, model = published(pooling), efficientnet(variant=variant, pooling=pooling)
    load_all(model, weights)
    mels = torch.randn(2, 100, 128, generator=torch.Generator().manual_seed(1))
    expected = psla_by_names(weights, mels, variant)
    assert expected.std() > 0.05
    with torch.no_grad():
        found = model(mels[:, None])
    assert found.maps[-1].shape == (2, LAST, 3 if variant == "b0" else 4, 4)
    torch.testing.assert_close(found.logits.sigmoid(), expected, rtol=1e-4, atol=1e-5)


def test_the_conventions_of_timm_give_other_probabilities():
    weights, model = published(), efficientnet(conventions="timm")
    load_all(model, weights)
    mels = torch.randn(2, 100, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = model(mels[:, None]).logits.sigmoid()
    assert (found - psla_by_names(weights, mels, "b0")).abs().max() > 1e-2


def test_the_classifier_of_imagenet_in_a_checkpoint_is_left_out():
    weights = published() | {
        "module.effnet._fc.weight": torch.ones(1000, LAST),
        "module.effnet._fc.bias": torch.ones(1000),
    }
    load_all(efficientnet(), weights)


def test_without_its_classifier_it_starts_a_model_of_any_pooling():
    weights, model = published(), efficientnet(pooling="mean")
    before = model.classifier.weight.clone()
    load_backbone(model, weights)
    assert torch.equal(model.classifier.weight, before)
    head = weights["module.effnet._conv_head.weight"]
    assert torch.equal(model.features.conv_head.weight, head)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: efficientnet(pooling="mean"), "classifier.weight is missing"),
        (
            lambda: MODELS["dcase_small"](num_classes=CLASSES, input_shape=(1, 70, 40)),
            r"do not fit DcaseSmall: .*features\.conv_stem\.weight is unexpected",
        ),
    ],
)
def test_it_does_not_fit_another_model(model, message):
    with pytest.raises(UserError, match=message):
        load_all(model(), published())
