"""LiteRT files: what follows the FlatBuffer, and, with litert-torch, their outputs."""

import importlib.util
import io
import json
import sys
import zipfile

import numpy as np
import pytest
import torch

from config import UserError
from deploy import litert_file
from deploy.quantise import trained_layers
from models.quantised import QuantisedLayer, quantise
from tests.deploy.trained import built, described

HAS_LITERT = importlib.util.find_spec("litert_torch") is not None
requires_litert = pytest.mark.skipif(
    not HAS_LITERT, reason="requires litert-torch: pip install -r requirements-tflite.txt"
)
STUDENTS = [
    ("cp_mobile", "single_label", {"base_channels": 8}),
    ("dcase_small", "multi_label", {"width_mult": 0.25}),
    ("yamnet", "multi_label", {"depth": 4, "width_mult": 0.25, "pooling": "statistics"}),
]


def test_the_labels_and_the_description_follow_the_flatbuffer():
    model = b"\x1c\0\0\0TFL3" + bytes(range(256))
    about = {"classes": ("dog", "Straßenlärm"), "mean": (-2.0,), "name": "x"}
    file = litert_file.with_description(model, about)
    assert file.startswith(model)
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode() == "dog\nStraßenlärm\n"
        found = json.loads(archive.read("soundstill.json"))
    assert found == {"format": 1, "classes": ["dog", "Straßenlärm"], "mean": [-2.0], "name": "x"}
    assert file == litert_file.with_description(model, about), "the time of the export is not in it"


def test_int8_values_are_rounded_clipped_and_restored():
    about = {"dtype": np.int8, "quantization": (0.5, -3)}
    values = np.float32([-100, -1, 0, 0.3, 60, 100])
    stored = litert_file.quantised(values, about)
    assert stored.tolist() == [-128, -5, -3, -2, 117, 127]
    np.testing.assert_array_equal(
        litert_file.dequantised(stored, about), np.float32([-62.5, -1, 0, 0.5, 60, 65])
    )
    about = {"dtype": np.float32, "quantization": (0.0, 0)}
    assert litert_file.quantised(values, about) is values
    assert litert_file.dequantised(values, about) is values


@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_the_outputs_have_the_names_and_the_order_of_the_onnx_file(task):
    description = described("dcase_small", task)
    model = built(description).eval()
    features = torch.randn(1, *description.input_shape, generator=torch.manual_seed(0))
    found = litert_file.NamedOutputs(model, task)(features)
    assert list(found) == ["probabilities", "logits", "embedding"]
    logits, embedding, _ = model(features)
    torch.testing.assert_close(found["logits"], logits)
    torch.testing.assert_close(found["embedding"], embedding)
    expected = logits.softmax(1) if task == "single_label" else logits.sigmoid()
    torch.testing.assert_close(found["probabilities"], expected)


def test_the_layers_of_a_quantised_model_are_its_trained_ones():
    description = described("dcase_small")
    clips = torch.rand(2, *description.input_shape, generator=torch.Generator().manual_seed(0))
    model = quantise(built(description), [clips])
    before = dict(model.named_modules())
    layers = {name: m for name, m in before.items() if isinstance(m, QuantisedLayer)}
    assert layers
    found = trained_layers(model)
    for name, module in layers.items():
        layer = found.get_submodule(name)
        assert type(layer) is type(module.layer)
        assert torch.equal(layer.weight, module.layer.weight)
    assert dict(model.named_modules()) == before, "the model itself is not changed"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    description = described()
    with pytest.raises(UserError, match=r"package litert-torch,.*-r requirements-tflite.txt"):
        litert_file.litert_files(built(description), description, ["float32"], [])
    with pytest.raises(UserError, match=r"package ai-edge-quantizer,.*-r requirements-tflite.txt"):
        litert_file.int8(b"", [])


@requires_litert
@pytest.mark.parametrize("student", STUDENTS, ids=lambda student: student[0])
def test_outputs_equal_those_of_pytorch(student):
    name, task, options = student
    description = described(name, task, **options)
    model = built(description).eval()
    generator = torch.Generator().manual_seed(0)
    clips = torch.randn(12, *description.input_shape, generator=generator)
    calibration = [clip[None].numpy() for clip in clips[4:]]
    models = litert_file.litert_files(model, description, ["float32", "int8"], calibration)
    assert list(models) == ["float32", "int8"]
    assert len(models["int8"]) < len(models["float32"])  # the graph dominates so small a file
    assert litert_file.float_operators(models["float32"])
    with torch.inference_mode():
        expected = litert_file.NamedOutputs(model, task)(clips[:4])
    for precision, content in models.items():
        run = litert_file.LitertModel(litert_file.with_description(content, {"classes": ("a",)}))
        assert run.input["shape"].tolist() == [1, *description.input_shape]
        assert run.input["dtype"] == {"float32": np.float32, "int8": np.int8}[precision]
        found = run(clips[:4].numpy())
        for output, values in expected.items():
            largest = max(1.0, float(values.abs().max()))
            bound = {"float32": 1e-4, "int8": 0.05}[precision] * largest
            np.testing.assert_allclose(found[output], values, rtol=0, atol=bound)


@requires_litert
def test_int8_ranges_are_the_extremes_of_all_calibration_clips():
    description = described("dcase_small", width_mult=0.25)
    model = litert_file.converted(built(description).eval(), description)
    loud = torch.randn(1, *description.input_shape, generator=torch.manual_seed(0)).numpy()
    file = litert_file.int8(model, [loud, *[0.1 * loud] * 9])
    scale, zero = litert_file.LitertModel(file).input["quantization"]
    assert scale * (-128 - zero) <= loud.min() + scale
    assert scale * (127 - zero) >= loud.max() - scale


@requires_litert
def test_a_std_is_computed_in_float32():
    description = described(
        "yamnet", depth=4, width_mult=0.25, pooling="statistics", classifier_norm=True
    )
    model = built(description).eval()
    clips = torch.randn(8, *description.input_shape, generator=torch.manual_seed(0))
    clips[:, :, :, :] *= torch.tensor([1.0, 0.02] * 4)[:, None, None, None]  # std of 1 and of 0.02
    files = litert_file.litert_files(
        model, description, ["int8"], [clip[None].numpy() for clip in clips]
    )
    assert "SQRT" in litert_file.float_operators(files["int8"])
    with torch.inference_mode():
        expected = model(clips).embedding
    found = litert_file.LitertModel(files["int8"])(clips.numpy())["embedding"]
    width = expected.shape[1] // 2
    np.testing.assert_allclose(found[:, width:], expected[:, width:], atol=0.02)
