"""Tests of every registered model, at its published settings and with its options."""

import inspect
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from config import ConfigError
from models import MODELS
from models.cost import cost
from models.output import Output
from models.precision import to_precision

REDUCED = {  # smaller settings of the large models
    "ast": {"size": "micro", "depth": 2},
    "dymn": {"width_mult": 0.1},
    "ced": {"size": "micro", "depth": 1},
    "efficientnet": {"width_mult": 0.1, "depth_mult": 0.1},
    "mn": {"width_mult": 0.1},
    "passt": {"size": "micro", "depth": 1},
    "yamnet": {"width_mult": 0.1},
}
CASES = [
    *((name, REDUCED.get(name, {})) for name in sorted(MODELS)),
    ("ast", {"size": "micro", "depth": 1, "stride_time": 16, "stride_frequency": 4}),
    ("ced", {"size": "micro", "depth": 2, "chunk_frames": 24}),
    ("cnn_lstm", {"time_first": False}),
    ("cp_mobile", {"version": "dcase2023", "base_channels": 8}),
    ("cp_resnet", {"rho": 1, "base_channels": 12}),
    ("dcase_net", {"width_mult": 0.1, "batch_norm": True}),
    ("dcase_small", {"width_mult": 0.01, "batch_norm": True, "dropout": 0.5}),
    ("dcase_small", {"width_mult": 2.0}),
    ("dymn", {"width_mult": 0.1, "dynamic": "replace_se", "kernel_temperature": 30.0}),
    ("efficientnet", {"pooling": "attention", "width_mult": 0.1, "depth_mult": 0.1}),
    ("mel_resnet", {"width_mult": 0.1, "downsampling": "pooling"}),
    ("mn", {"width_mult": 0.1, "head": "fully_convolutional", "strides": "2211"}),
    ("mobilenetv2", {"width_mult": 0.0005}),
    ("passt", {"size": "micro", "depth": 1, "time_patches": 9, "patchout_time": 1}),
    ("passt", {"size": "micro", "depth": 1, "stride_time": 4, "patchout": 3}),
    ("raw_resnet", {"version": "report", "width_mult": 0.1}),
    ("raw_resnet", {"last_conv_padding": 0, "width_mult": 0.1}),
    ("yamnet", {"width_mult": 0.1, "batch_norm": False, "activation": "relu"}),
    ("yamnet", {"width_mult": 0.1, "depth": 5}),
]
ON_WAVEFORMS = {"raw_resnet"}
STARTS_AT_ZERO = {"cp_resnet"}  # its logits, and most gradients, before the first step

every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=str)


def input_shapes(name):
    """Of one channel, and of two."""
    return [(1, 60_000), (2, 53_000)] if name in ON_WAVEFORMS else [(1, 70, 20), (2, 40, 33)]


def input_shape_of(name):
    return input_shapes(name)[0]


def build(name, options, input_shape=None, num_classes=3):
    torch.manual_seed(0)
    input_shape = input_shape or input_shape_of(name)
    model = MODELS[name](num_classes=num_classes, input_shape=input_shape, **options)
    if name in STARTS_AT_ZERO:
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("name", sorted(MODELS))
def test_options_are_annotated_keywords_with_defaults(name):
    parameters = dict(inspect.signature(MODELS[name]).parameters)
    assert {"num_classes", "input_shape"} <= parameters.keys()
    for parameter in parameters.values():
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.annotation is not parameter.empty
        if parameter.name not in ("num_classes", "input_shape"):
            assert parameter.default is not parameter.empty


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_docstring_is_complete(name):
    text = inspect.getdoc(MODELS[name])
    first, blank, *_ = text.splitlines()
    assert first.endswith(".")
    assert len(first) <= 67  # so that `python -m models` fits 80 columns
    assert blank == ""
    assert "\nSource: " in text
    assert "\nShapes: " in text
    block = text.partition("\nOptions:\n")[2].partition("\n\n")[0]
    documented = [match[1] for match in re.finditer(r"^    (\w+): ", block, re.MULTILINE)]
    parameters = inspect.signature(MODELS[name]).parameters
    assert documented == [p for p in parameters if p not in ("num_classes", "input_shape")]


@pytest.mark.parametrize("channels", [1, 2])
@every_case
def test_the_output_has_the_documented_shapes_and_is_finite(name, options, channels):
    input_shape = input_shapes(name)[channels - 1]
    output = build(name, options, input_shape)(torch.randn(2, *input_shape))
    assert isinstance(output, Output)
    assert output.logits.shape == (2, 3)
    assert output.embedding.ndim == 2
    assert len(output.embedding) == 2
    assert isinstance(output.maps, tuple)
    assert output.maps
    for tensor in (output.logits, output.embedding, *output.maps):
        assert tensor.isfinite().all()
    for feature_map in output.maps:
        assert feature_map.ndim in (3, 4)
        assert len(feature_map) == 2


@pytest.mark.parametrize("clips", [1, 4])
@every_case
def test_the_gradient_reaches_every_parameter(name, options, clips):
    model = build(name, options).train()
    torch.manual_seed(1)
    model(torch.randn(clips, *input_shape_of(name))).logits.square().sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        if clips > 1:  # one clip leaves no variance for the gradient of a batch normalisation
            assert parameter.grad.abs().sum() > 0, parameter_name


@every_case
def test_evaluation_is_deterministic_and_independent_of_the_batch(name, options):
    model = build(name, options).eval()
    clips = torch.randn(3, *input_shape_of(name))
    with torch.no_grad():
        once, again, alone = model(clips), model(clips), model(clips[1:2])
    assert torch.equal(once.logits, again.logits)
    torch.testing.assert_close(alone.logits, once.logits[1:2], rtol=1e-4, atol=1e-5)


@every_case
def test_a_clip_may_be_longer_in_evaluation_than_in_training(name, options):
    channels, length, *bands = input_shape_of(name)
    model = build(name, options).eval()
    with torch.no_grad():
        output = model(torch.randn(2, channels, 2 * length + 1, *bands))
    assert output.logits.shape == (2, 3)
    assert output.logits.isfinite().all()


@every_case
@torch.no_grad()
def test_float16_has_the_logits_of_float32_but_for_rounding(name, options):
    model, clips = build(name, options).eval(), torch.randn(2, *input_shape_of(name))
    before = model(clips).logits
    output = to_precision(model, "float16", [])(clips)
    torch.testing.assert_close(output.logits.float(), before, rtol=0.02, atol=0.02)
    assert all(tensor.isfinite().all() for tensor in (output.embedding, *output.maps))


@every_case
def test_weights_survive_safetensors(name, options, tmp_path):
    model = build(name, options)
    clips = torch.randn(2, *input_shape_of(name))
    model.train()(clips)  # moves the running statistics
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    twin = MODELS[name](num_classes=3, input_shape=input_shape_of(name), **options)
    twin.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        assert torch.equal(twin.eval()(clips).logits, model.eval()(clips).logits)


@every_case
def test_the_cost_is_that_of_the_weights_file(name, options, tmp_path):
    model = build(name, options)
    found = cost(model, input_shape_of(name))
    path = tmp_path / "weights.safetensors"
    save_file(model.state_dict(), path)
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    assert found.weight_bytes == path.stat().st_size - header
    assert found.weight_bytes >= 4 * found.parameters
    assert found.macs > found.parameters / 10


@pytest.mark.parametrize("input_shape", [(1, 16_000), (1, 4, 64), (0, 998, 64)], ids=str)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_an_input_that_is_too_small_is_an_error_with_its_sizes(name, input_shape):
    if name in ("dymn", "efficientnet", "mn", "mobilenetv2", "yamnet") and input_shape == (
        1,
        4,
        64,
    ):
        input_shape = (1, 4, 32)
    with pytest.raises(ConfigError, match=f"{name}.*{input_shape[-1]}"):
        build(name, {}, input_shape)


@pytest.mark.parametrize("width_mult", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize(
    "name",
    [
        *("dcase_net", "dcase_small", "dymn", "efficientnet", "mel_resnet", "mn"),
        *("mobilenetv2", "raw_resnet", "yamnet"),
    ],
)
def test_a_width_must_be_positive(name, width_mult):
    with pytest.raises(ConfigError, match=f"{name} width_mult"):
        build(name, {"width_mult": width_mult})


def test_importing_the_models_imports_neither_torchvision_nor_timm():
    code = "import sys, models; sys.exit(bool({'torchvision', 'timm'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
