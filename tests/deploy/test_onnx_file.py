"""The properties of an exported file, for every registered model."""

import json
from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from config import UserError
from deploy import onnx_file
from deploy.export import onnx_models
from deploy.full_model import FullModel
from models import MODELS
from models.output import Output
from tests.deploy.trained import RATE, built, described, waveforms

FOLDED_INTO = ("Conv", "Gemm", "MatMul", "ConvTranspose")


@pytest.fixture(scope="module", params=sorted(MODELS.keys() - {"dymn"}))
def exported(request):
    """The description of a model, the model in PyTorch, and its ONNX models by precision."""
    description = described(request.param)
    full_model = FullModel(built(description), description)
    with torch.inference_mode():
        sounds = waveforms(seconds=description.clip_seconds)
        mel = full_model(torch.from_numpy(sounds)).mel.numpy()
    models, any_length = onnx_models(
        full_model.model, description, ("float32", "float16", "int8"), list(mel[:, None])
    )
    assert any_length
    return description, full_model, models


@torch.inference_mode()
def test_outputs_equal_pytorch_for_any_batch_size_and_length(exported):
    description, full_model, models = exported
    outputs = ["probabilities", "logits", "embedding", "mel"]
    if description.front_end.front_end == "waveform":
        outputs.remove("mel")
    sessions = {name: onnx_file.session(model) for name, model in models.items()}
    for clips, length in ((1, 1.0), (3, 1.0), (2, 0.6), (1, 2.3)):
        waveform = waveforms(clips, length * description.clip_seconds)
        expected = full_model(torch.from_numpy(waveform))._asdict()
        for precision, bound in (("float32", 1e-5), ("float16", 5e-3), ("int8", 5e-2)):
            inputs = {"waveform": waveform}
            largest = max(1.0, float(expected["embedding"].abs().max()))
            bounds = {"probabilities": bound, "logits": 2 * bound, "mel": 1e-4}
            bounds["embedding"] = 4 * bound * largest
            assert [output.name for output in sessions[precision].get_outputs()] == outputs
            for name, value in zip(outputs, sessions[precision].run(None, inputs), strict=True):
                assert value.dtype == np.float32
                np.testing.assert_allclose(value, expected[name], atol=bounds[name])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_clip_with_a_sample_that_is_not_finite_has_no_finite_output(exported, value):
    description, _, models = exported
    waveform = waveforms(2, description.clip_seconds)
    waveform[0, 0, 5] = value
    for model in models.values():
        found = onnx_file.session(model).run(
            ["probabilities", "logits", "embedding"], {"waveform": waveform}
        )
        for output in found:
            assert np.isnan(output[0]).all()
            assert np.isfinite(output[1]).all()


def test_the_least_length_is_the_shortest_that_all_precisions_process(exported):
    description, _, models = exported
    sessions = [onnx_file.session(model) for model in models.values()]
    samples = round(description.clip_seconds * RATE)
    least = onnx_file.least_samples(sessions, (1, samples))
    assert 0 < least < samples
    for session in sessions:
        (found,) = session.run(["logits"], {"waveform": waveforms(1, least / RATE)})
        assert np.isfinite(found).all()
    assert not all(
        onnx_file.processes(session, waveforms(1, (least - 1) / RATE)) for session in sessions
    )


def test_lower_precision_makes_a_smaller_file(exported):
    description, _, models = exported
    size = {precision: model.ByteSize() for precision, model in models.items()}
    front_end = 10_000
    assert size["float16"] - front_end < 0.55 * size["float32"]
    assert size["int8"] - front_end < 0.3 * size["float32"]


def test_names_and_defaults_take_no_space(exported):
    _, _, models = exported
    for model in models.values():
        ends = {value.name for value in (*model.graph.input, *model.graph.output)}
        for node in model.graph.node:
            assert not node.HasField("name")
            assert all(name in ends or len(name) < 5 for name in (*node.input, *node.output))
            assert "auto_pad" not in {attribute.name for attribute in node.attribute}


def test_cp_mobile_in_int8_takes_less_than_128_kb():
    description = described("cp_mobile", base_channels=32)
    models, _ = onnx_models(
        built(description), description, ("int8",), [np.zeros((1, 1, 98, 33), np.float32)]
    )
    assert models["int8"].ByteSize() < 128_000


def test_batch_normalisation_is_folded_and_no_path_of_this_machine_is_stored(exported):
    _, _, models = exported
    for model in models.values():
        producers = {name: node.op_type for node in model.graph.node for name in node.output}
        read = Counter(name for node in model.graph.node for name in node.input)
        for node in model.graph.node:
            if node.op_type == "BatchNormalization":
                source = node.input[0]  # it cannot be folded if another node reads it too
                assert producers[source] not in FOLDED_INTO or read[source] > 1
            assert not node.metadata_props
            assert not node.doc_string
        assert not model.metadata_props
        assert onnx_file.__file__.rpartition("/")[0].encode() not in model.SerializeToString()


def test_single_label_probabilities_are_a_softmax():
    description = described(task="single_label")
    full_model = FullModel(built(description), description)
    models, _ = onnx_models(full_model.model, description, ("float32",), [])
    found, logits = onnx_file.session(models["float32"]).run(
        ["probabilities", "logits"], {"waveform": waveforms()}
    )
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    powers = np.exp(logits)
    np.testing.assert_allclose(found, powers / powers.sum(1, keepdims=True), rtol=1e-5)


def test_dymn_has_no_int8():
    model = MODELS["dymn"](num_classes=3, input_shape=(1, 98, 33), width_mult=0.1)
    with pytest.raises(UserError, match=r"^DyMN cannot be quantised to int8: its kernels depend"):
        onnx_models(model, described("dymn"), ("int8",), [])


class OfOneLength(torch.nn.Module):
    """A linear layer over time, as in a model with a fixed number of positions."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Linear(98 * 33, 3)

    def forward(self, x):
        flat = x.flatten(1)
        logits = self.weights(flat)
        return Output(logits, flat, ())


def test_a_model_of_one_length_has_a_static_length():
    model, description = OfOneLength().eval(), described()
    features = np.random.default_rng(0).standard_normal((1, 1, 98, 33)).astype(np.float32)
    models, any_length = onnx_models(model, description, ("float32", "int8"), [features])
    assert not any_length
    (waveform,) = models["float32"].graph.input
    sizes = [axis.dim_value or axis.dim_param for axis in waveform.type.tensor_type.shape.dim]
    assert sizes == ["batch", 1, RATE]


class DataDependent(OfOneLength):
    """Its control flow depends on its input."""

    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


def test_a_model_that_cannot_be_exported_is_named():
    with pytest.raises(UserError, match=r"^DataDependent cannot be exported: \S"):
        onnx_models(DataDependent().eval(), described(), ("float32",), [])


def test_metadata_is_stored_and_writing_is_atomic(tmp_path):
    model = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []))
    path = tmp_path / "deep/student.onnx"
    onnx_file.describe(model, {"name": "köln seed 0", "classes": ("dog",)})
    onnx_file.write(path, model)
    (entry,) = onnx.load(path).metadata_props
    assert entry.key == "soundstill"
    assert json.loads(entry.value) == {"format": 1, "name": "köln seed 0", "classes": ["dog"]}
    assert list(path.parent.iterdir()) == [path]
