"""An ONNX graph of one clip -> the layers of deploy/c/layers.h."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from config import UserError
from deploy.model_graph import simplified

if TYPE_CHECKING:
    import onnx

AXES = 4  # of Arithmetic in layers.h


class Place(NamedTuple):
    """Of a value in the arena."""

    value: str


class Weights(NamedTuple):
    """(channels, ...): float32, or int8 with a scale per channel."""

    values: np.ndarray


@dataclass
class Layer:
    """A constant description and the function that runs it.

    `fields` are those of the struct: numbers, dictionaries for structs in it, sequences, arrays
    that it points to, and places in the arena.
    """

    function: str
    struct: str
    reads: tuple[str, ...]
    writes: str
    fields: dict[str, Any]
    in_place: tuple[str, ...] = ()  # what it reads whose buffer may hold its output
    scratch: dict[str, int] = field(default_factory=dict)  # sizes of values that only it uses


class Network:
    """The layers, in the order of their execution. A value has the name of its tensor.

    Raises UserError for operations that the C runtime does not have.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        from onnx import numpy_helper

        self.constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
        infos = [*graph.input, *graph.value_info, *graph.output]
        self.shapes = {
            info.name: tuple(axis.dim_value for axis in info.type.tensor_type.shape.dim)
            for info in infos
        }
        self.readers = Counter(name for node in graph.node for name in node.input)
        self.readers.update(output.name for output in graph.output)
        self.same: dict[str, str] = {}  # the value that a reshaped one is
        self.layers: list[Layer] = []
        if unknown := sorted({node.op_type for node in graph.node} - OPERATIONS.keys()):
            raise unsupported(", ".join(unknown))
        for node in graph.node:
            OPERATIONS[node.op_type](self, Node(self, node))
        for layer in self.layers:
            depthwise_in_place(layer)
        self.features = self.value(graph.input[0].name)
        self.logits = self.value(graph.output[0].name)

    def value(self, name: str) -> str:
        while name in self.same:
            name = self.same[name]
        return name

    def size(self, name: str) -> int:
        return math.prod(self.shapes[name])

    def add(
        self,
        function: str,
        struct: str,
        reads: Sequence[str],
        writes: str,
        in_place: tuple[str, ...] = (),
        **fields: Any,
    ) -> None:
        self.layers.append(Layer(function, struct, tuple(reads), writes, fields, in_place))

    def only_reader_of(self, name: str, *functions: str) -> Layer | None:
        """The layer that wrote this value, if it is one of `functions` and nobody else reads it."""
        while self.readers[name] == 1 and name in self.same:
            name = self.same[name]
        if self.readers[name] != 1:
            return None
        found = (layer for layer in self.layers if layer.writes == name)
        return next((layer for layer in found if layer.function in functions), None)


class Node:
    """An ONNX node with its constants and attributes at hand."""

    def __init__(self, network: Network, node: onnx.NodeProto) -> None:
        from onnx import helper

        self.kind, self.names, self.out = node.op_type, list(node.input), node.output[0]
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.network = network
        self.shape = network.shapes[self.out]

    def constant(self, index: int) -> np.ndarray | None:
        if index >= len(self.names) or not self.names[index]:
            return None
        return self.network.constants.get(self.names[index])

    def required(self, index: int) -> np.ndarray:
        found = self.constant(index)
        if found is None:
            raise unsupported(f"{self.kind} with a computed operand")
        return found

    @property
    def source(self) -> str:
        """The first input, a value in the arena."""
        if self.names[0] in self.network.constants:
            raise unsupported(f"{self.kind} of a constant")
        return self.network.value(self.names[0])

    def pair(self, name: str, default: tuple[int, int]) -> dict[str, int]:
        """A Size."""
        height, width = self.attributes.get(name, default)[:2]
        return {"height": height, "width": width}

    def kernel(self, size: Sequence[int]) -> dict[str, Any]:
        before = self.network.shapes[self.names[0]]
        if len(before) != 4:
            raise unsupported(f"{self.kind} of {len(before) - 2} axes")
        return {
            "size": dict(zip(("height", "width"), size, strict=True)),
            "stride": self.pair("strides", (1, 1)),
            "dilation": self.pair("dilations", (1, 1)),
            "padding": self.pair("pads", (0, 0)),  # top and left come first
            "in": {"height": before[2], "width": before[3]},
            "out": {"height": self.shape[2], "width": self.shape[3]},
        }


def unsupported(operation: str) -> UserError:
    return UserError(
        f"the model cannot be exported to C: {operation} not supported; "
        f"supported operations: {', '.join(sorted(OPERATIONS))}"
    )


def fixed_length(model: onnx.ModelProto, input_shape: tuple[int, ...]) -> onnx.GraphProto:
    """The graph of the logits, the first output, for one clip of `input_shape`: its shapes are
    known and those computations folded.
    """
    import onnx

    found = onnx.ModelProto()
    found.CopyFrom(model)
    axes = found.graph.input[0].type.tensor_type.shape.dim
    for axis, size in zip(axes, (1, *input_shape), strict=True):
        axis.dim_value = size
    del found.graph.output[1:]
    return onnx.shape_inference.infer_shapes(simplified(found), strict_mode=True).graph


# One function per operation -----------------------------------------------------------------------


def convolution(network: Network, node: Node) -> None:
    weights = node.required(1)
    if node.attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise unsupported("Conv with auto_pad")
    network.add(
        "layer_convolution",
        "Convolution",
        [node.source],
        node.out,
        **{"in": Place(node.source), "out": Place(node.out)},
        channels_out=len(weights),
        group_in=weights.shape[1],
        group_out=len(weights) // node.attributes.get("group", 1),
        kernel=node.kernel(weights.shape[2:]),
        **linear_map(weights, node.constant(2)),
    )


def depthwise_in_place(layer: Layer) -> None:
    """A convolution of each channel by itself, none of them larger than before."""
    fields = layer.fields
    if layer.function != "layer_convolution" or (fields["group_in"], fields["group_out"]) != (1, 1):
        return
    before, after = (math.prod(fields["kernel"][side].values()) for side in ("in", "out"))
    if fields["channels_out"] > 1 and after <= before:
        plane = f"{layer.writes} plane"
        layer.function, layer.struct = "layer_depthwise_convolution", "DepthwiseConvolution"
        layer.fields = {"convolution": fields, "plane": Place(plane)}
        layer.scratch[plane], layer.in_place = after, layer.reads


def linear_map(weights: np.ndarray, biases: np.ndarray | None) -> dict[str, Any]:
    return {
        "weights": Weights(weights),
        "biases": None if biases is None else biases.astype(np.float32),
        "low": -math.inf,
        "high": math.inf,
    }


def linear(network: Network, node: Node) -> None:
    """Gemm, or MatMul of one row."""
    weights, attributes = node.required(1), node.attributes
    if attributes.get("transA") or {attributes.get(a, 1.0) for a in ("alpha", "beta")} != {1.0}:
        raise unsupported("Gemm with alpha, beta or transA")
    if not attributes.get("transB"):
        weights = weights.T
    if network.size(node.source) != weights.shape[1]:
        raise unsupported(f"{node.kind} of more than one row")
    network.add(
        "layer_linear",
        "Linear",
        [node.source],
        node.out,
        **{"in": Place(node.source), "out": Place(node.out)},
        values_in=weights.shape[1],
        values_out=len(weights),
        **linear_map(weights, node.constant(2)),
    )


def relu(network: Network, node: Node) -> None:
    clipped(network, node, 0.0, math.inf)


def clip(network: Network, node: Node) -> None:
    low, high = (node.constant(k) for k in (1, 2))
    clipped(network, node, *(-math.inf if low is None else low, math.inf if high is None else high))


def clipped(network: Network, node: Node, low: Any, high: Any) -> None:
    """Part of the layer that computes the values, if it can be."""
    limits = float(low), float(high)
    before = network.only_reader_of(node.names[0], "layer_convolution", "layer_linear")
    if before and (before.fields["low"], before.fields["high"]) == (-math.inf, math.inf):
        before.fields |= {"low": limits[0], "high": limits[1]}
        network.same[node.out] = node.source
    else:
        pointwise(network, node, "layer_clip", *limits)


def pointwise(network: Network, node: Node, function: str, a: float = 0.0, b: float = 0.0) -> None:
    network.add(
        function,
        "Pointwise",
        [node.source],
        node.out,
        **{"in": Place(node.source), "out": Place(node.out)},
        values=network.size(node.out),
        a=a,
        b=b,
        in_place=(node.source,),
    )


def square_root(network: Network, node: Node) -> None:
    pointwise(network, node, "layer_square_root")


def sigmoid(network: Network, node: Node) -> None:
    pointwise(network, node, "layer_sigmoid")


def hard_sigmoid(network: Network, node: Node) -> None:
    slope, offset = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    pointwise(network, node, "layer_hard_sigmoid", slope, offset)


def pooling(network: Network, node: Node) -> None:
    kernel, is_largest = node.kernel(node.attributes["kernel_shape"]), node.kind == "MaxPool"
    if node.attributes.get("ceil_mode"):
        raise unsupported(f"{node.kind} with ceil_mode")
    fields: dict[str, Any] = {
        "in": Place(node.source),
        "out": Place(node.out),
        "channels": node.shape[1],
        "kernel": kernel,
        "counts_padding": bool(node.attributes.get("count_include_pad", 0)),
    }
    before = network.only_reader_of(node.names[0], "layer_convolution")
    if is_largest and before:
        plane = f"{node.out} plane"
        before.function, before.struct = "layer_pooled_convolution", "PooledConvolution"
        before.scratch[plane] = math.prod(kernel["in"].values())
        convolved = before.fields | {"out": Place(plane)}
        before.fields = {"convolution": convolved, "pooling": fields | {"in": Place(plane)}}
        before.writes = node.out
        return
    function = "layer_max_pooling" if is_largest else "layer_average_pooling"
    network.add(function, "Pooling", [node.source], node.out, **fields)


def reduction(network: Network, node: Node) -> None:
    shape = network.shapes[node.names[0]]
    if node.kind == "GlobalAveragePool":
        axes = list(range(2, len(shape)))
    else:
        axes = sorted(int(axis) % len(shape) for axis in node.required(1))
    if axes != list(range(axes[0], axes[-1] + 1)):
        raise unsupported(f"{node.kind} over the axes {axes}")
    network.add(
        "layer_maximum" if node.kind == "ReduceMax" else "layer_mean",
        "Reduction",
        [node.source],
        node.out,
        **{"in": Place(node.source), "out": Place(node.out)},
        before=math.prod(shape[: axes[0]]),
        values=math.prod(shape[axes[0] : axes[-1] + 1]),
        after=math.prod(shape[axes[-1] + 1 :]),
    )


ARITHMETIC = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide"}


def arithmetic(network: Network, node: Node) -> None:
    left, right = node.names
    if left in network.constants and node.kind in ("Add", "Mul"):
        left, right = right, left
    if left in network.constants:
        raise unsupported(f"{node.kind} with a constant on the left")
    constant = network.constants.get(right)
    shape = network.shapes[right] if constant is None else constant.shape
    combine(
        network,
        node,
        ARITHMETIC[node.kind],
        (network.value(left), network.shapes[left]),
        (network.value(right) if constant is None else constant, shape),
        node.out,
    )


def combine(
    network: Network,
    node: Node,
    operation: str,
    left: tuple[str, Sequence[int]],
    right: tuple[str | np.ndarray, Sequence[int]],
    out: str,
) -> None:
    if len(node.shape) > AXES:
        raise unsupported(f"{node.kind} of {len(node.shape)} axes")
    values = [value for value, _ in (left, right) if isinstance(value, str)]
    constant = right[0] if isinstance(right[0], np.ndarray) else None
    network.add(
        f"layer_{operation}",
        "Arithmetic",
        values,
        out,
        left=Place(values[0]),
        right=Place(values[-1]),
        out=Place(out),
        constant=None if constant is None else constant.astype(np.float32),
        shape=[1] * (AXES - len(node.shape)) + list(node.shape),
        left_strides=strides(left[1]),
        right_strides=strides(right[1]),
        in_place=tuple(
            v for v, shape in (left, right) if isinstance(v, str) and shape == node.shape
        ),
    )


def strides(shape: Sequence[int]) -> list[int]:
    """In values, of AXES axes; 0 along an axis that is repeated."""
    found, step = [0] * AXES, 1
    for axis, size in zip(range(AXES - 1, -1, -1), reversed(shape), strict=False):
        found[axis] = step if size > 1 else 0
        step *= size
    return found


def power(network: Network, node: Node) -> None:
    if node.required(1).tolist() not in (2.0, [2.0]):
        raise unsupported("Pow except squares")
    operand = (node.source, node.shape)
    combine(network, node, "multiply", operand, operand, node.out)


def batch_normalisation(network: Network, node: Node) -> None:
    """Where it could not be folded into a convolution: x scale + shift per channel."""
    weight, bias, average, variance = (np.float64(node.required(k)) for k in range(1, 5))
    scale = weight / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    shape = (-1, *[1] * (len(node.shape) - 2))
    scaled, shift = f"{node.out} scaled", (bias - average * scale).reshape(shape)
    scale = scale.reshape(shape)
    network.shapes[scaled] = node.shape
    left = node.source, node.shape
    combine(network, node, "multiply", left, (scale, scale.shape), scaled)
    combine(network, node, "add", (scaled, node.shape), (shift, shift.shape), node.out)


def concatenation(network: Network, node: Node) -> None:
    axis, written = node.attributes["axis"] % len(node.shape), 0
    for name in node.names:
        if name in network.constants:
            raise unsupported("Concat with a constant")
        width = math.prod(network.shapes[name][axis:])
        fields: dict[str, Any] = {
            "in": Place(network.value(name)),
            "out": (Place(node.out), written),
            "rows": math.prod(node.shape[:axis]),
            "width": width,
            "out_width": math.prod(node.shape[axis:]),
        }
        network.add("layer_copy", "Copy", [network.value(name)], node.out, **fields)
        written += width


def same_values(network: Network, node: Node) -> None:
    network.same[node.out] = node.source


OPERATIONS: dict[str, Callable[[Network, Node], None]] = {
    "Add": arithmetic,
    "AveragePool": pooling,
    "BatchNormalization": batch_normalisation,
    "Clip": clip,
    "Concat": concatenation,
    "Conv": convolution,
    "Div": arithmetic,
    "Flatten": same_values,
    "Gemm": linear,
    "GlobalAveragePool": reduction,
    "HardSigmoid": hard_sigmoid,
    "Identity": same_values,
    "MatMul": linear,
    "MaxPool": pooling,
    "Mul": arithmetic,
    "Pow": power,
    "ReduceMax": reduction,
    "ReduceMean": reduction,
    "Relu": relu,
    "Reshape": same_values,
    "Sigmoid": sigmoid,
    "Sqrt": square_root,
    "Squeeze": same_values,
    "Sub": arithmetic,
    "Unsqueeze": same_values,
}
