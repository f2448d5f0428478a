import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from config import UserError
from deploy.quantise import float16, float_head, int8, pool_before_relu

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


def test_what_stands_before_the_first_wide_product_stays_float():
    assert [node.name for node in float_head(narrow_and_wide().graph)] == ["a", "b", "c"]


def test_pooling_before_relu_changes_nothing():
    model = narrow_and_wide()
    before = run(model, clips(2))
    pool_before_relu(model.graph, float_head(model.graph))
    assert [node.op_type for node in model.graph.node][:3] == ["Conv", "MaxPool", "Relu"]
    onnx.checker.check_model(model)
    np.testing.assert_array_equal(run(model, clips(2)), before)


def test_int8_holds_wide_weights_in_bytes_a_scale_a_channel():
    model = narrow_and_wide()
    small = int8(model, [clips(4)])
    assert [node.op_type for node in model.graph.node][:3] == ["Conv", "Relu", "MaxPool"]
    kept = {weight.name: weight for weight in small.graph.initializer}
    assert kept["narrow"].data_type == FLOAT
    assert kept["wide_quantized"].data_type == TensorProto.INT8
    scales = numpy_helper.to_array(kept["wide_scale"])
    largest = np.abs(numpy_helper.to_array(model.graph.initializer[1])).max(axis=(1, 2, 3))
    np.testing.assert_allclose(scales, largest / 127.5, rtol=0.01)
    expected, found = run(model, clips(4)), run(small, clips(4))
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert 0 < error < 0.02
    assert len(np.unique(run(small, clips(300, seed=1)))) > 512, "logits are no bytes"


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


def test_what_cannot_be_quantised_is_said():
    pooling = [helper.make_node("GlobalAveragePool", ["features"], ["logits"], "a")]
    with pytest.raises(UserError, match=r"cannot be quantised to int8: no convolution"):
        int8(model_of(pooling, {}), [clips(1)])
    with pytest.raises(UserError, match="cannot be quantised to int8: "):
        int8(narrow_and_wide(), [np.zeros((1, 1, 3, 5, 7), np.float32)])
