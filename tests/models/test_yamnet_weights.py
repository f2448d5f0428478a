"""Weights by the names of the published files, made at random."""

import pytest
import torch
import torch.nn.functional as F

from config import UserError
from models import MODELS
from models.pretrained import load_backbone
from models.published import load_all, read_weights
from models.yamnet import CHANNELS, STRIDES

CLASSES = 5


def build(**options):
    torch.manual_seed(1)
    options = {"width_mult": 0.25, "activation": "relu"} | options
    return MODELS["yamnet"](num_classes=CLASSES, input_shape=(1, 70, 24), **options)


def published(batch_norm=True):
    """By the names of `read_tflite` (without normalisation) or `read_keras`, of width 1/4."""
    generator = torch.Generator().manual_seed(0)
    channels = [1, 8, *(n // 4 for n in CHANNELS)]
    shapes = [(8, 1, 3, 3)]
    for before, after in zip(channels[1:], channels[2:], strict=False):
        shapes += [(before, 1, 3, 3), (after, before, 1, 1)]
    weights = {
        "classifier.weight": torch.randn(CLASSES, channels[-1], generator=generator) / 16,
        "classifier.bias": torch.randn(CLASSES, generator=generator),
    }
    for number, shape in enumerate(shapes, 1):
        name, fan_in = f"layer{number}", shape[1] * shape[2] * shape[3]
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        if not batch_norm:
            weights[f"{name}.bias"] = torch.randn(shape[0], generator=generator)
            continue
        weights[f"{name}.norm.weight"] = torch.ones(shape[0])
        for kind in ("bias", "running_mean", "running_var"):
            values = torch.rand(shape[0], generator=generator)
            weights[f"{name}.norm.{kind}"] = values + 0.5 * (kind == "running_var")
    return weights


def logits_by_names(weights, x):
    """The network in Keras, straight from its weights: (B, C, T, F) -> logits."""
    strides = [2, *(s for stride in STRIDES for s in (stride, 1))]
    for number, stride in enumerate(strides, 1):
        kernel = weights[f"layer{number}.weight"]
        if kernel.shape[2] == 3:
            pads = []
            for n in (x.shape[3], x.shape[2]):
                total = max((-(-n // stride) - 1) * stride + 3 - n, 0)
                pads += [total // 2, total - total // 2]
            x = F.pad(x, pads)
        groups = x.shape[1] if number % 2 == 0 else 1
        x = F.conv2d(x, kernel, stride=stride, groups=groups)
        gamma, beta, mean, variance = (
            weights[f"layer{number}.norm.{kind}"][:, None, None]
            for kind in ("weight", "bias", "running_mean", "running_var")
        )
        x = F.relu((x - mean) / (variance + 1e-4).sqrt() * gamma + beta)
    return x.mean((2, 3)) @ weights["classifier.weight"].T + weights["classifier.bias"]


@pytest.mark.parametrize("batch_norm", [True, False])
def test_published_weights_give_the_published_logits(batch_norm):
    weights, model = published(), build(batch_norm=batch_norm).eval()
    load_all(model, weights)
    x = torch.randn(2, 1, 70, 24, generator=torch.Generator().manual_seed(2))
    expected = logits_by_names(weights, x)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    with torch.no_grad():
        torch.testing.assert_close(model(x).logits, expected, rtol=1e-4, atol=1e-4)


def test_folded_weights_require_a_model_without_batch_normalisation():
    with pytest.raises(UserError, match="set BATCH_NORM = no"):
        load_all(build(), published(batch_norm=False))
    load_all(build(batch_norm=False), published(batch_norm=False))


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("depth", [5, 12])
def test_a_model_of_fewer_blocks_takes_the_first_without_the_classifier(depth, batch_norm):
    model = build(depth=depth, batch_norm=batch_norm)
    with pytest.raises(UserError, match=r"classifier\.weight is missing"):
        load_all(model, published())
    head = model.classifier.weight.clone()
    load_backbone(model, published())
    whole = build(batch_norm=batch_norm)
    load_all(whole, published())
    assert torch.equal(model.classifier.weight, head)
    for name, tensor in model.features.state_dict().items():
        assert torch.equal(tensor, whole.features.state_dict()[name]), name


def test_weights_of_another_width_are_an_error():
    with pytest.raises(UserError, match=r"features\.0\.0\.weight is 8x1x3x3, expected 16x1x3x3"):
        load_all(build(width_mult=0.5), published())


@pytest.mark.parametrize("nested", [True, False])
def test_keras_hdf5(tmp_path, nested):
    """As Keras saves weights: a group per layer, in it the variables by their names."""
    h5py = pytest.importorskip("h5py", reason="the package h5py is not installed")
    weights, path = published(), tmp_path / "yamnet.h5"
    with h5py.File(path, "w") as file:

        def put(layer, kind, tensor):
            name = f"{layer}/{layer}/{kind}:0" if nested else f"{layer}/{kind}"
            file[name] = tensor.numpy()

        for number in range(1, 28):
            part = "conv" if number == 1 else ("pointwise_conv", "depthwise_conv")[number % 2 == 0]
            layer = f"layer{number // 2 + 1}/{part}"
            kernel = weights[f"layer{number}.weight"]
            if part == "depthwise_conv":
                put(layer, "depthwise_kernel", kernel.permute(2, 3, 0, 1))
            else:
                put(layer, "kernel", kernel.permute(2, 3, 1, 0))
            for kind, ours in (
                ("beta", "bias"),
                ("moving_mean", "running_mean"),
                ("moving_variance", "running_var"),
            ):
                put(f"{layer}/bn", kind, weights[f"layer{number}.norm.{ours}"])
        put("dense", "kernel", weights["classifier.weight"].T)
        put("dense", "bias", weights["classifier.bias"])
    found = read_weights(path)
    assert found.keys() == weights.keys()
    for name, tensor in weights.items():
        assert torch.equal(found[name], tensor), name


def test_a_damaged_or_foreign_hdf5_is_an_error(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the package h5py is not installed")
    (tmp_path / "a.h5").write_bytes(b"no weights")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["dense/kernel:0"], file["dense/bias:0"] = [[1.0]], [0.0]
    with pytest.raises(UserError, match=r"a\.h5: cannot be read as HDF5"):
        read_weights(tmp_path / "a.h5")
    with pytest.raises(UserError, match=r"b\.h5: its layers are not those of YAMNet"):
        read_weights(tmp_path / "b.h5")


def test_hdf5_requires_a_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "a.h5").touch()
    with pytest.raises(UserError, match="package h5py is missing: python -m pip install h5py"):
        read_weights(tmp_path / "a.h5")
