"""ONNX graphs of one clip as layers of the C runtime."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from config import UserError
from deploy.c_layers import Layer, Network, Place, fixed_length
from deploy.c_package import planned


def model(nodes, shape, constants=(), output=(None, None)):
    """features (B, *shape) -> logits, embedding, as deploy.model_graph makes it."""
    nodes = [*nodes, ("Flatten", ["features"], ["embedding"], {})]
    arrays = {name: np.asarray(value) for name, value in dict(constants).items()}
    graph = helper.make_graph(
        [helper.make_node(kind, i, o, **attributes) for kind, i, o, attributes in nodes],
        "model",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", *shape])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, list(output)),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [None, None]),
        ],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def network(nodes, shape, constants=(), output=(None, None)):
    return Network(fixed_length(model(nodes, shape, constants, output), shape))


def filters(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_activation_and_pooling_become_parts_of_a_convolution():
    nodes = [
        ("Conv", ["features", "w"], ["a"], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("Relu", ["a"], ["b"], {}),
        ("MaxPool", ["b"], ["c"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("ReduceMean", ["c", "axes"], ["logits"], {"keepdims": 0}),
    ]
    found = network(nodes, (1, 8, 6), {"w": filters(4, 1, 3, 3), "axes": np.array([2, 3])})
    assert [layer.function for layer in found.layers] == ["layer_pooled_convolution", "layer_mean"]
    first, last = found.layers
    assert first.fields["convolution"]["low"] == 0.0
    assert first.scratch == {"c plane": 8 * 6}
    assert (last.fields["before"], last.fields["values"], last.fields["after"]) == (4, 12, 1)


def test_a_convolution_that_others_read_too_keeps_its_values():
    nodes = [
        ("Conv", ["features", "w"], ["a"], {"kernel_shape": [1, 1]}),
        ("Relu", ["a"], ["b"], {}),
        ("Add", ["a", "b"], ["c"], {}),
        ("ReduceMean", ["c", "axes"], ["logits"], {"keepdims": 0}),
    ]
    found = network(nodes, (1, 8, 6), {"w": filters(4, 1, 1, 1), "axes": np.array([2, 3])})
    assert [layer.function for layer in found.layers] == [
        *("layer_convolution", "layer_clip", "layer_add", "layer_mean")
    ]
    places, _ = planned(found, SimpleNamespace(scratch={}))
    assert places["a"] != places["b"]
    assert places["c"] in (places["a"], places["b"])  # in place


def test_a_depthwise_convolution_works_in_place():
    nodes = [
        ("Conv", ["features", "w"], ["a"], {"kernel_shape": [1, 1]}),
        ("Conv", ["a", "d"], ["b"], {"kernel_shape": [3, 3], "strides": [2, 2], "group": 4}),
        ("ReduceMean", ["b", "axes"], ["logits"], {"keepdims": 0}),
    ]
    constants = {"w": filters(4, 1, 1, 1), "d": filters(4, 1, 3, 3), "axes": np.array([2, 3])}
    found = network(nodes, (1, 9, 7), constants)
    assert found.layers[1].function == "layer_depthwise_convolution"
    places, floats = planned(found, SimpleNamespace(scratch={}))
    assert places["a"] == places["b"]
    assert floats == 9 * 7 + 4 * 9 * 7  # the features, and the first map, the largest


def reduced(kind, **attributes):
    return kind, ["features"], ["logits"], attributes


REFUSED = [
    ([reduced("Erf")], {}, "Erf not supported; supported operations: Add, "),
    ([reduced("Softmax", axis=1), reduced("Erf")], {}, "Erf, Softmax not supported"),
    (
        [("Pow", ["features", "cube"], ["logits"], {})],
        {"cube": np.float32(3)},
        "Pow except squares",
    ),
    (
        [("Sub", ["one", "features"], ["logits"], {})],
        {"one": np.float32([1, 2])},
        "Sub with a constant on the left",
    ),
    (
        [("ReduceMean", ["features", "axes"], ["logits"], {"keepdims": 0})],
        {"axes": np.array([1, 3])},
        r"ReduceMean over the axes \[1, 3\]",
    ),
    (
        [("MatMul", ["features", "features"], ["logits"], {})],
        {},
        "MatMul with a computed operand",
    ),
    (
        [("MaxPool", ["features"], ["logits"], {"kernel_shape": [2, 2], "ceil_mode": 1})],
        {},
        "MaxPool with ceil_mode",
    ),
]


@pytest.mark.parametrize(("nodes", "constants", "message"), REFUSED)
def test_an_operation_that_is_not_supported_is_named(nodes, constants, message):
    nodes = [(k, i, [f"out {n}"] if n else o, a) for n, (k, i, o, a) in enumerate(nodes)]
    graph = model(nodes, (2, 3, 2), constants, (1, 2, 3, 2)).graph
    for node in graph.node:
        graph.value_info.add().CopyFrom(
            helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, [1, 2, 3, 2])
        )
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(UserError, match=f"^the model cannot be exported to C: {message}"):
        Network(graph)


@st.composite
def networks(draw):
    """Layers that read any earlier values, and may work in place."""
    values, sizes, layers = ["features"], {"features": draw(st.integers(1, 30))}, []
    for step in range(draw(st.integers(1, 8))):
        reads = tuple(draw(st.lists(st.sampled_from(values), min_size=1, max_size=3)))
        name = f"value {step}"
        if in_place := tuple(draw(st.lists(st.sampled_from(reads), max_size=2))):
            sizes[name] = draw(st.integers(1, min(sizes[v] for v in in_place)))
        else:
            sizes[name] = draw(st.integers(1, 30))
        scratch = {f"{name} plane": draw(st.integers(1, 9))} if draw(st.booleans()) else {}
        layers.append(Layer("f", "F", reads, name, {"out": Place(name)}, in_place, scratch))
        values.append(name)
    return SimpleNamespace(
        features="features", logits=values[-1], layers=layers, size=sizes.__getitem__
    )


@given(networks())
def test_every_layer_finds_what_was_written_for_it(found):
    places, floats = planned(found, SimpleNamespace(scratch={"RING": 7, "FRAME": 5}))
    owners = np.full(floats, "", object)

    def part(name, size):
        assert 0 <= places[name] <= floats - size
        return owners[places[name] : places[name] + size]

    def write(name, size):
        part(name, size)[:] = name

    for name, size in (("RING", 7), ("FRAME", 5), ("features", found.size("features"))):
        write(name, size)
    assert (part("RING", 7) == "RING").all()
    for layer in found.layers:
        for name, size in layer.scratch.items():
            write(name, size)
        for name in layer.reads:
            assert (part(name, found.size(name)) == name).all()
        write(layer.writes, found.size(layer.writes))
        in_place = {places[layer.writes]} & {places[name] for name in layer.in_place}
        for name in layer.reads if not in_place else ():
            assert (part(name, found.size(name)) == name).all()
    assert (part(found.logits, found.size(found.logits)) == found.logits).all()
