"""State dicts with the names and shapes of the published systems."""

import argparse
import pickle

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from config import UserError
from models import MODELS
from models.own import Adapted
from models.published import load_all, read_weights
from tests.models.test_models import REDUCED, build

DCASE_SMALL = {
    "layer1_conv1": (16, 1, 3, 3),
    "layer3_conv2": (32, 16, 3, 3),
    "layer5_conv3_1": (64, 32, 3, 3),
    "layer6_conv3_2": (64, 64, 3, 3),
    "layer8_conv4_1": (128, 64, 3, 3),
    "layer9_conv4_2": (128, 128, 3, 3),
    "new_fc1": (128, 256),
    "new_fc2": (64, 128),
    "final": (8, 64),
}
VGGISH = {
    "features.0": (64, 1, 3, 3),
    "features.3": (128, 64, 3, 3),
    "features.6": (256, 128, 3, 3),
    "features.8": (256, 256, 3, 3),
    "features.11": (512, 256, 3, 3),
    "features.13": (512, 512, 3, 3),
}
VGGISH_HEAD = {"embeddings.0": (16, 12), "embeddings.2": (16, 16), "embeddings.4": (8, 16)}
OURS = ("conv1.0", "conv2.0", "conv3_1.0", "conv3_2.0", "conv4_1.0", "conv4_2.0")


def random_weights(shapes, suffix=""):
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in shapes.items():
        weights[f"{name}{suffix}.weight"] = torch.randn(shape, generator=generator)
        weights[f"{name}{suffix}.bias"] = torch.randn(shape[0], generator=generator)
    return weights


def published_dcase_small():
    return random_weights(DCASE_SMALL, ".0")


def small(**options):
    return MODELS["dcase_small"](num_classes=8, input_shape=(1, 998, 20), **options)


def net():
    return MODELS["dcase_net"](num_classes=8, input_shape=(1, 998, 64))


def test_the_published_dcase_small_fills_the_whole_model():
    published, model = published_dcase_small(), small()
    assert len(published) == 18
    load_all(model, published)
    names = (*OURS, "fc1", "fc2", "classifier")
    for ours, theirs in zip(names, DCASE_SMALL, strict=True):
        for kind in ("weight", "bias"):
            found = model.state_dict()[f"{ours}.{kind}"]
            assert torch.equal(found, published[f"{theirs}.0.{kind}"])
    assert len(model.state_dict()) == 18


def test_only_the_convolutions_of_vggish_are_loaded():
    vggish, model = random_weights(VGGISH | VGGISH_HEAD), net()
    head = model.fc1.weight.clone()
    load_all(model, vggish)
    for ours, theirs in zip(OURS, VGGISH, strict=True):
        for kind in ("weight", "bias"):
            assert torch.equal(model.state_dict()[f"{ours}.{kind}"], vggish[f"{theirs}.{kind}"])
    assert torch.equal(model.fc1.weight, head)


def test_published_convolutions_without_a_head_are_loaded():
    published = {
        name: tensor for name, tensor in published_dcase_small().items() if "_conv" in name
    }
    model = small()
    head = model.fc1.weight.clone()
    load_all(model, published)
    assert torch.equal(model.conv1[0].weight, published["layer1_conv1.0.weight"])
    assert torch.equal(model.fc1.weight, head)


def published_cnn_lstm():
    """Random weights under the published names, for 20 bands and 8 classes."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "conv.weight": (32, 1, 5, 5),
        "conv.bias": (32,),
        "lstm.weight_ih_l0": (256, 256),
        "lstm.weight_hh_l0": (256, 64),
        "lstm.bias_ih_l0": (256,),
        "lstm.bias_hh_l0": (256,),
        "fc.0.weight": (8, 64),
        "fc.0.bias": (8,),
    }
    return {name: 0.2 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def cnn_lstm(**options):
    return MODELS["cnn_lstm"](num_classes=8, input_shape=(1, 998, 20), **options)


def test_the_published_cnn_lstm_gives_the_same_logits():
    """A view without a transpose, the gates of the LSTM (i, f, g, o) stepped by hand."""
    published, model = published_cnn_lstm(), cnn_lstm(time_first=False).eval()
    assert sum(tensor.numel() for tensor in published.values()) == 83_784
    load_all(model, published)
    mels = torch.randn(2, 1, 998, 20, generator=torch.Generator().manual_seed(1))
    steps = F.conv2d(mels, published["conv.weight"], published["conv.bias"], stride=2)
    hidden = cell = torch.zeros(2, 64)
    for step in steps.view(2, 497, 256).unbind(1):
        gates = step @ published["lstm.weight_ih_l0"].T + published["lstm.bias_ih_l0"]
        gates += hidden @ published["lstm.weight_hh_l0"].T + published["lstm.bias_hh_l0"]
        entry, forget, value, out = gates.chunk(4, 1)
        cell = forget.sigmoid() * cell + entry.sigmoid() * value.tanh()
        hidden = out.sigmoid() * cell.tanh()
    expected = hidden @ published["fc.0.weight"].T + published["fc.0.bias"]
    with torch.no_grad():
        torch.testing.assert_close(model(mels).logits, expected, rtol=1e-4, atol=1e-5)


def test_the_published_cnn_lstm_requires_its_order_of_the_axes():
    model = cnn_lstm()
    before = model.conv.weight.clone()
    with pytest.raises(UserError, match="published weights of cnn_lstm require TIME_FIRST = no"):
        load_all(model, published_cnn_lstm())
    assert torch.equal(model.conv.weight, before)


@pytest.mark.parametrize(("width_mult", "bands"), [(1.0, 64), (0.0005, 20)])
def test_the_published_mobilenetv2_gives_the_same_logits(width_mult, bands):
    """The modules of the published system in its order, of torchvision's network."""
    import torchvision

    torch.manual_seed(0)
    nn = torch.nn
    stem = nn.Sequential(
        nn.BatchNorm2d(1), nn.Conv2d(1, 10, 1), nn.ReLU(), nn.Conv2d(10, 3, 1), nn.ReLU()
    )
    final = nn.Sequential(nn.Linear(1280, 512), nn.ReLU(), nn.BatchNorm1d(512), nn.Linear(512, 8))
    parts = nn.ModuleDict({"bw2col": stem, "final": final})
    parts["mv2"] = torchvision.models.mobilenet_v2(width_mult=width_mult)
    mels = torch.randn(4, 1, 64, bands)
    stem(3 * mels)  # running statistics other than 0 and 1
    parts["mv2"].features(stem(mels))
    final(torch.randn(8, 1280))
    published, model = (
        parts.eval().state_dict(),
        MODELS["mobilenetv2"](num_classes=8, input_shape=(1, 64, bands), width_mult=width_mult),
    )
    assert {"bw2col.1.weight", "mv2.features.0.0.weight", "final.3.bias"} <= published.keys()
    load_all(model, published)
    with torch.no_grad():
        expected = final(parts["mv2"].features(stem(mels)).amax((2, 3)))
        assert expected.std() > 0.01
        torch.testing.assert_close(model.eval()(mels).logits, expected)


def published_raw_resnet():
    """Random weights and running statistics under the published names."""
    generator = torch.Generator().manual_seed(0)
    weights = {}

    def convolution(name, *shape, bias=True):
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator) / shape[1] ** 0.5 / 2
        if bias:
            weights[f"{name}.bias"] = torch.randn(shape[0], generator=generator)

    def norm(name, channels):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            weights[f"{name}.{kind}"] = torch.rand(channels, generator=generator) + 0.5
        weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("first_conv", 128, 2, 12)
    norm("first_bn", 128)
    before = 128
    for number, channels in enumerate((64, 64, 128, 128, 128, 128, 128)):
        convolution(f"block{number}.conv1", channels, before, 3)
        norm(f"block{number}.bn1", channels)
        convolution(f"block{number}.conv2", channels, channels, 3)
        norm(f"block{number}.bn2", channels)
        if channels != before:
            convolution(f"block{number}.conv_downsample", channels, before, 3)
        before = channels
    convolution("last_conv", 128, 128, 1)
    norm("last_bn", 128)
    convolution("fc1", 128, 256)
    convolution("fc2", 10, 128, bias=False)
    return weights


def raw_resnet_by_names(weights, x):
    """The published network, one line per layer, computed from its weights."""

    def conv(name, x, **settings):
        return F.conv1d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **settings)

    def norm(name, x):
        scale, offset, mean, variance = (
            weights[f"{name}.{kind}"][:, None]
            for kind in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + offset

    def leaky(x):
        return torch.where(x > 0, x, 0.3 * x)

    x = leaky(norm("first_bn", conv("first_conv", x, stride=12)))
    for number in range(7):
        block = f"block{number}"
        inner = leaky(norm(f"{block}.bn1", conv(f"{block}.conv1", x, padding=1)))
        inner = norm(f"{block}.bn2", conv(f"{block}.conv2", inner, padding=1))
        if f"{block}.conv_downsample.weight" in weights:
            x = conv(f"{block}.conv_downsample", x, padding=1)
        x = F.max_pool1d(leaky(inner + x), 3)
    x = leaky(norm("last_bn", conv("last_conv", x, padding=3)))
    pooled = torch.cat([x.mean(2), x.amax(2)], 1)
    embedding = pooled @ weights["fc1.weight"].T + weights["fc1.bias"]
    return embedding @ weights["fc2.weight"].T


def test_the_published_raw_resnet_gives_the_same_logits():
    published = published_raw_resnet()
    assert len(published) == 119
    model = MODELS["raw_resnet"](num_classes=10, input_shape=(2, 60_000))
    load_all(model, published)
    waveforms = torch.randn(2, 2, 60_000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = model.eval()(waveforms).logits
    expected = raw_resnet_by_names(published, waveforms)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_published_raw_resnet_of_other_sizes_is_an_error():
    model = MODELS["raw_resnet"](num_classes=3, input_shape=(2, 60_000))
    with pytest.raises(UserError, match=r"classifier\.weight is 10x128, expected 3x128"):
        load_all(model, published_raw_resnet())


@pytest.mark.parametrize("name", sorted(MODELS))
def test_own_weights_are_loaded(name):
    model, twin = (build(name, REDUCED.get(name, {})) for _ in range(2))
    for tensor in twin.state_dict().values():
        tensor.zero_()
    load_all(twin, model.state_dict())
    for found, expected in zip(
        twin.state_dict().values(), model.state_dict().values(), strict=True
    ):
        assert torch.equal(found, expected)


def test_all_mismatches_are_listed_and_nothing_is_changed():
    published, model = published_dcase_small(), small()
    published["final.0.weight"] = torch.zeros(23, 64)
    published["attention.weight"] = torch.zeros(3)
    del published["new_fc1.0.bias"]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError) as error:
        load_all(model, published)
    for part in (
        "fc1.bias is missing",
        "attention.weight is unexpected",
        "classifier.weight is 23x64, expected 8x64",
    ):
        assert part in str(error.value)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_vggish_does_not_fit_a_smaller_network():
    with pytest.raises(UserError, match=r"conv1\.0\.weight is 64x1x3x3, expected 16x1x3x3"):
        load_all(small(), random_weights(VGGISH))


def test_vggish_requires_every_bias():
    vggish = random_weights(VGGISH)
    del vggish["features.8.bias"]
    with pytest.raises(UserError, match=r"conv3_2\.0\.bias is missing"):
        load_all(net(), vggish)


def test_own_convolutions_without_a_head_are_an_error():
    weights = {name: t for name, t in small().state_dict().items() if name.startswith("conv")}
    with pytest.raises(UserError, match=r"fc1\.weight is missing; .*; 3 more are missing"):
        load_all(small(), weights)


def test_files(tmp_path):
    weights = published_dcase_small()
    save_file(weights, tmp_path / "a.safetensors")
    torch.save(weights, tmp_path / "b.pth")
    torch.save({"epoch": 149, "state_dict": weights}, tmp_path / "c.ckpt")  # as Lightning does
    for name in ("a.safetensors", "b.pth", "c.ckpt"):
        found = read_weights(tmp_path / name)
        assert found.keys() == weights.keys()
        assert all(torch.equal(found[name], weights[name]) for name in weights)


NESTED = ("module.{}", "_orig_mod.{}", "module._orig_mod.{}", "_orig_mod.module.module.{}")


@pytest.mark.parametrize("entry", [(), ("model",), ("model_state_dict",), ("model", "state_dict")])
@pytest.mark.parametrize("name", NESTED)
def test_checkpoints_are_read_as_people_save_them(tmp_path, name, entry):
    expected = small().state_dict()
    checkpoint = {name.format(ours): tensor for ours, tensor in expected.items()}
    for key in reversed(entry):
        checkpoint = {"epoch": 3, "optimizer": {"state": {}, "lr": 0.1}, key: checkpoint}
    torch.save(checkpoint, tmp_path / "a.pt")
    model = small()
    load_all(model, read_weights(tmp_path / "a.pt"))
    assert all(torch.equal(found, expected[n]) for n, found in model.state_dict().items())


def test_wrapped_parts_of_a_model_and_published_names_are_read(tmp_path):
    published = published_dcase_small()
    one, other, third = small(), small(), small()
    load_all(one, published)
    load_all(other, {f"module.{name}": tensor for name, tensor in published.items()})
    parts = {name.replace(".0.", "._orig_mod.0."): t for name, t in one.state_dict().items()}
    assert parts.keys() != one.state_dict().keys()
    load_all(third, parts)
    for name, tensor in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
        assert torch.equal(third.state_dict()[name], tensor)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_the_weights_of_a_users_module_are_read_with_and_without_its_adapter(prefix):
    net = torch.nn.Sequential(torch.nn.Linear(3, 2))
    model = Adapted(torch.nn.Sequential(torch.nn.Linear(3, 2)), layout="bctf")
    load_all(model, {f"{prefix}{name}": t for name, t in net.state_dict().items()})
    assert torch.equal(model.module[0].weight, net[0].weight)


def test_a_checkpoint_with_more_than_tensors_is_refused_with_what_it_holds(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"model": small().state_dict(), "args": argparse.Namespace(lr=1)}, path)
    with pytest.raises(UserError) as error:
        read_weights(path)
    assert str(error.value) == (
        f"{path}: cannot be read as weights: it holds more than tensors, argparse.Namespace, and "
        "is not loaded, since that could execute code; save the tensors alone, such as "
        "torch.save(model.state_dict(), FILE)"
    )


def test_misfits_are_a_few_names_and_a_count():
    model = build("passt", {"size": "micro", "depth": 6})
    others = {f"other.{n}": torch.zeros(1) for n in range(500)}
    with pytest.raises(UserError) as error:
        load_all(model, others)
    message = str(error.value)
    missing = len(model.state_dict())
    assert message.endswith(
        f"; {missing - 3} more are missing; other.0 is unexpected; other.1 is unexpected; "
        "other.2 is unexpected; 497 more are unexpected"
    )
    assert len(message) < 400
    wider = build("passt", {"size": "micro", "depth": 6}, num_classes=5).state_dict()
    with pytest.raises(UserError, match=r"PatchoutTransformer: classifier[^;]*; classifier[^;]*$"):
        load_all(model, wider)


class Payload:
    """A pickle that would create a file if it were executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_with_code_is_rejected_and_not_executed(tmp_path):
    torch.save({"weight": Payload(tmp_path / "ran")}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Payload(tmp_path / "ran"), protocol=2))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(UserError, match=f"{name}: cannot be read as weights"):
            read_weights(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize("content", [b"", b"no weights", bytes(range(256)) * 9])
def test_a_damaged_file_is_an_error(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}: cannot be read as weights"):
        read_weights(tmp_path / name)


def test_a_truncated_file_is_an_error(tmp_path):
    torch.save(published_dcase_small(), tmp_path / "a.pth")
    save_file(published_dcase_small(), tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(UserError, match=f"{name}: cannot be read as weights"):
            read_weights(tmp_path / name)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"none\.pth: no such file"):
        read_weights(tmp_path / "none.pth")


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"net": {"weight": torch.zeros(2)}}])
def test_a_file_without_named_tensors_is_an_error(content, tmp_path):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"a\.pth: expected a state dict"):
        read_weights(tmp_path / "a.pth")
