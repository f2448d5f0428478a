import copy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from config import UserError
from deploy import quantise
from deploy.quantise import (
    convolve_pools,
    float16,
    float_head,
    for_onnx,
    int8,
    pool_before_relu,
    quantise_before_pads,
)
from models.quantised import QuantisedLayer

FLOAT = TensorProto.FLOAT


def model_of(nodes, weights, features=("n", 1, 8, 8)):
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("features", FLOAT, features)],
        [helper.make_tensor_value_info("logits", FLOAT, ("n", 3))],
        [numpy_helper.from_array(np.float32(value), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def narrow_and_wide():
    generator = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["features", "narrow"], ["a"], "a", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "b"),
        helper.make_node("MaxPool", ["b"], ["c"], "c", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["c", "wide"], ["d"], "d"),
        helper.make_node("Flatten", ["d"], ["e"], "e"),
        helper.make_node("Gemm", ["e", "linear"], ["logits"], "f"),
    ]
    weights = {
        "narrow": generator.standard_normal((16, 1, 3, 3)),
        "wide": generator.standard_normal((32, 16, 4, 4)),
        "linear": generator.standard_normal((32, 3)),
    }
    return model_of(nodes, weights)


def run(model, features):
    found = onnxruntime.InferenceSession(model.SerializeToString())
    return found.run(None, {"features": features})[0]


def clips(count, seed=0):
    noise = np.random.default_rng(seed).standard_normal((count, 1, 8, 8))
    return noise.astype(np.float32)


def test_the_layers_before_the_first_wide_product_stay_float():
    assert [node.name for node in float_head(narrow_and_wide().graph)] == ["a", "b", "c"]


def test_pooling_before_relu_changes_nothing():
    model = narrow_and_wide()
    before = run(model, clips(2))
    pool_before_relu(model.graph, float_head(model.graph))
    assert [node.op_type for node in model.graph.node][:3] == ["Conv", "MaxPool", "Relu"]
    onnx.checker.check_model(model)
    np.testing.assert_array_equal(run(model, clips(2)), before)


def convolutions(*middle, **weights):
    """Two convolutions, the nodes `middle` from "b" to "c", and a third one."""
    generator = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["features", "first"], ["a"], "a", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "second"], ["b"], "b", pads=[1, 1, 1, 1]),
        *middle,
        helper.make_node("Conv", ["c", "third"], ["d"], "d"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], "e"),
        helper.make_node("Flatten", ["e"], ["logits"], "f"),
    ]
    weights |= {
        "first": generator.standard_normal((16, 1, 3, 3)),
        "second": generator.standard_normal((16, 16, 3, 3)) / 12,
        "third": generator.standard_normal((3, 16, 2, 2)),
    }
    return model_of(nodes, weights)


def pooled(**options):
    pool = helper.make_node("AveragePool", ["b"], ["c"], "c", kernel_shape=[3, 3], **options)
    return convolutions(pool)


@pytest.mark.parametrize(
    ("options", "convolved"),
    [
        ({"pads": [1, 1, 1, 1], "strides": [2, 1], "count_include_pad": 1}, True),
        ({}, True),
        ({"pads": [1, 1, 1, 1]}, False),
        ({"strides": [2, 2], "ceil_mode": 1}, False),
    ],
)
def test_average_pooling_is_a_convolution_in_int8(options, convolved):
    model = pooled(**options)
    changed = copy.deepcopy(model)
    convolve_pools(changed)
    assert ("AveragePool" not in {node.op_type for node in changed.graph.node}) == convolved
    features = clips(8)
    np.testing.assert_allclose(run(changed, features), run(model, features), atol=1e-5)
    quantised = int8(model, list(features[:, None]))
    expected = run(model, features)
    assert np.abs(run(quantised, features) - expected).max() < 0.06 * np.abs(expected).max()


class QuantisedLayerIn(torch.nn.Module):
    def __init__(self, *settings):
        super().__init__()
        self.layer = QuantisedLayer(*settings)

    def forward(self, x):
        return self.layer(x)


def exported(model, features):
    return torch.onnx.export(
        for_onnx(model).eval(),
        (features,),
        dynamo=True,
        input_names=["features"],
        output_names=["logits"],
        opset_version=18,
        verbose=False,
    ).model_proto


def padded(value=None, **options):
    values = {} if value is None else {"value": value}
    relu = helper.make_node("Relu", ["b"], ["relu"], "relu")
    pad = helper.make_node("Pad", ["relu", "pads", *values], ["c"], "c", **options)
    model = convolutions(relu, pad, **values)
    pads = np.int64([0, 0, 0, 0, 0, 0, 1, 1])
    model.graph.initializer.append(numpy_helper.from_array(pads, "pads"))
    return model


@pytest.mark.parametrize(
    ("options", "moved"), [({}, True), ({"value": 0.5}, False), ({"mode": "reflect"}, False)]
)
def test_bytes_are_padded_in_place_of_floats(options, moved, monkeypatch):
    features, model = clips(8), padded(**options)
    moves = []

    def compared(small):
        before = run(small, features)
        moves.append(quantise_before_pads(small))
        onnx.checker.check_model(small, full_check=True)
        np.testing.assert_array_equal(run(small, features), before)

    monkeypatch.setattr(quantise, "quantise_before_pads", compared)
    small = int8(model, list(features[:, None]))
    assert len(moves) == 1
    sources = {name: node.op_type for node in small.graph.node for name in node.output}
    (pad,) = [node for node in small.graph.node if node.op_type == "Pad"]
    assert (sources[pad.input[0]] == "QuantizeLinear") == moved


class PaddedLayer(QuantisedLayerIn):
    def forward(self, x):
        return self.layer(torch.nn.functional.pad(x.relu(), (0, 1, 0, 1)))


def test_the_inputs_of_a_trained_int8_layer_are_quantised_before_they_are_padded():
    layer, features = torch.nn.Conv2d(3, 4, 3), torch.rand(2, 3, 6, 6)
    low, high = torch.tensor(0.0), torch.tensor(1.0)
    small = exported(PaddedLayer(layer, low, high), features)
    before = run(small, features.numpy())
    quantise_before_pads(small)
    onnx.checker.check_model(small, full_check=True)
    np.testing.assert_array_equal(run(small, features.numpy()), before)
    kinds = [node.op_type for node in small.graph.node]
    assert kinds.index("QuantizeLinear") < kinds.index("Pad")


def test_int8_stores_wide_weights_in_bytes_with_one_scale_per_channel():
    model = narrow_and_wide()
    small = int8(model, [clips(4)])
    assert [node.op_type for node in model.graph.node][:3] == ["Conv", "Relu", "MaxPool"]
    kept = {weight.name: weight for weight in small.graph.initializer}
    assert kept["narrow"].data_type == FLOAT
    assert kept["wide_quantized"].data_type == TensorProto.UINT8
    scales = numpy_helper.to_array(kept["wide_scale"])
    largest = np.abs(numpy_helper.to_array(model.graph.initializer[1])).max(axis=(1, 2, 3))
    np.testing.assert_allclose(scales, largest / 127.5, rtol=0.01)
    expected, found = run(model, clips(4)), run(small, clips(4))
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert 0 < error < 0.02
    assert len(np.unique(run(small, clips(300, seed=1)))) > 512, "the logits are not quantised"


def test_half_precision_halves_the_weights_and_rounds_them():
    model = narrow_and_wide()
    half = float16(model)
    onnx.checker.check_model(half)
    kinds = {weight.data_type for weight in half.graph.initializer}
    assert kinds == {TensorProto.FLOAT16}
    expected, found = run(model, clips(4)), run(half, clips(4))
    assert found.dtype == np.float32
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert 0 < error < 2e-3


def test_a_model_that_cannot_be_quantised_is_refused():
    pooling = [helper.make_node("GlobalAveragePool", ["features"], ["logits"], "a")]
    with pytest.raises(UserError, match=r"cannot be quantised to int8: it has no convolution"):
        int8(model_of(pooling, {}), [clips(1)])
    with pytest.raises(UserError, match="cannot be quantised to int8: "):
        int8(narrow_and_wide(), [np.zeros((1, 1, 3, 5, 7), np.float32)])


LARGEST_INPUT, LARGEST_WEIGHT = 255, 127  # two products of these exceed 16 bits


def extreme_weights(generator, *shape):
    """Integers; each output channel contains the largest, some nothing else."""
    weights = generator.integers(-LARGEST_WEIGHT, LARGEST_WEIGHT + 1, shape)
    weights[::2] = LARGEST_WEIGHT
    weights[:, 0] = LARGEST_WEIGHT
    return weights


def extreme_features(generator, *shape):
    """Integers from 0 to 255: their quantisation has the scale 1 and is exact."""
    features = generator.integers(0, LARGEST_INPUT + 1, shape)
    features[0] = LARGEST_INPUT
    features[-1] = 0
    return features


def test_int8_products_do_not_saturate():
    """Without VNNI a processor sums pairs of u8 x s8 products in 16 bits, and clips them."""
    generator = np.random.default_rng(0)
    weights = extreme_weights(generator, 3, 64)
    features = extreme_features(generator, 16, 64)
    node = helper.make_node("MatMul", ["features", "weights"], ["logits"], "a")
    small = int8(model_of([node], {"weights": weights.T}, ("n", 64)), [np.float32(features)])
    found = run(small, np.float32(features))
    np.testing.assert_array_equal(found, features @ weights.T)


@pytest.mark.parametrize("groups", [1, 2, 32])
def test_int8_convolutions_do_not_saturate(groups):
    generator = np.random.default_rng(0)
    weights = extreme_weights(generator, 32, 32 // groups, 1, 1)
    features = extreme_features(generator, 8, 32, 4, 4)
    nodes = [
        helper.make_node("Conv", ["features", "weights"], ["a"], "a", group=groups),
        helper.make_node("ReduceMean", ["a", "axes"], ["logits"], "b", keepdims=0),
    ]
    model = model_of(nodes, {"weights": weights}, ("n", 32, 4, 4))
    model.graph.initializer.append(numpy_helper.from_array(np.int64([2, 3]), "axes"))
    found = run(int8(model, [np.float32(features)]), np.float32(features))
    grouped = features.reshape(8, groups, -1, 16)
    expected = np.einsum("gkc,ngcs->ngks", weights.reshape(groups, 32 // groups, -1), grouped)
    step = np.ptp(expected) / 255  # of the output, which is quantised too
    np.testing.assert_allclose(found, expected.reshape(8, 32, 16).mean(2), atol=step)


def test_int8_recurrences_do_not_saturate():
    """All gates read 64 inputs of the largest weight: half of the sum would show."""
    weights = {"w": np.full((1, 32, 64), 0.02), "r": np.full((1, 32, 8), 0.02)}
    nodes = [
        helper.make_node("LSTM", ["features", "w", "r"], ["", "h"], "a", hidden_size=8),
        helper.make_node("Squeeze", ["h"], ["logits"], "b"),
    ]
    model = model_of(nodes, weights, (5, 3, 64))
    features = np.ones((5, 3, 64), np.float32)
    expected, found = run(model, features), run(int8(model, []), features)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["linear", "convolution"])
def test_trained_int8_products_do_not_saturate(kind):
    generator = np.random.default_rng(0)
    weights = extreme_weights(generator, 32, 64)
    features = extreme_features(generator, 16, 64)
    expected = features @ weights.T
    layer = torch.nn.Linear(64, 32) if kind == "linear" else torch.nn.Conv1d(64, 32, 1)
    if kind == "convolution":
        weights, features, expected = (x[..., None] for x in (weights, features, expected))
    layer.weight.data, layer.bias.data = torch.from_numpy(np.float32(weights)), torch.zeros(32)
    low, high = torch.tensor(0.0), torch.tensor(float(LARGEST_INPUT))
    model = exported(QuantisedLayerIn(layer, low, high), torch.from_numpy(np.float32(features)))
    found = run(model, np.float32(features))
    np.testing.assert_array_equal(found, expected)


def test_int8_weights_are_unsigned():
    """A processor with VNNI does not saturate: there only this shows that others would not."""
    kept = {weight.data_type for weight in int8(narrow_and_wide(), [clips(4)]).graph.initializer}
    assert TensorProto.UINT8 in kept
    assert TensorProto.INT8 not in kept
