"""Quantisation of a model's graph: float16, and int8, calibrated on clips or trained."""

from __future__ import annotations

import copy
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.onnx.ops import symbolic

from config import UserError, reason_of
from deploy.model_graph import quiet
from models.quantised import QuantisedLayer

if TYPE_CHECKING:
    import onnx

WIDE = 16  # channels from which int8 products are faster than float32
PRODUCTS = ("Conv", "MatMul", "Gemm")
UNSIGNED_ZERO = 128  # the zero point of int8 weights that are stored as uint8


def float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights and activations in half precision; features and outputs stay float32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph = half.graph
    for weight in graph.initializer:
        if weight.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(weight).astype(np.float16)
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    outputs = [output.name for output in graph.output]
    half_names = {name: f"half_{name}" for name in ("features", *outputs)}
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
        node.input[:] = [half_names.get(name, name) for name in node.input]
        node.output[:] = [half_names.get(name, name) for name in node.output]
    down = helper.make_node("Cast", ["features"], ["half_features"], to=TensorProto.FLOAT16)
    up = [
        helper.make_node("Cast", [half_names[name]], [name], to=TensorProto.FLOAT)
        for name in outputs
    ]
    nodes = [down, *graph.node, *up]
    del graph.node[:]
    graph.node.extend(nodes)
    return half


def int8(model: onnx.ModelProto, calibration: Sequence[np.ndarray]) -> onnx.ModelProto:
    """Weights in int8 with one scale per channel. Raises UserError for an unsupported model.

    Convolutions and linear layers have uint8 activations, whose ranges are the extremes on
    `calibration`, training clips of (B, *input_shape). Some parts stay float32: the layers before
    the first product of WIDE channels, where int8 is slower and least accurate; the logits; and all
    of a transformer but its products, because its sums and normalisations lose accuracy and gain no
    speed. In a recurrent model only the LSTM is quantised, with dynamic ranges of its activations.
    """
    import onnx

    operators = {node.op_type for node in model.graph.node}
    try:
        with tempfile.TemporaryDirectory(prefix="soundstill_") as folder, quiet():
            path = Path(folder, "int8.onnx")
            if "LSTM" in operators:
                quantise_recurrences(model, path)
            elif operators.intersection(PRODUCTS):
                quantise_products(model, path, calibration)
            else:
                raise ValueError("it has no convolution, linear layer or LSTM")
            found = onnx.load(path)
            quantise_before_pads(found)
            return with_unsigned_weights(found)
    except Exception as error:  # the quantiser raises almost anything
        raise UserError(f"the model cannot be quantised to int8: {reason_of(error)}") from error


def quantise_recurrences(model: onnx.ModelProto, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        model, path, op_types_to_quantize=["LSTM"], per_channel=True, weight_type=QuantType.QInt8
    )


def quantise_products(
    model: onnx.ModelProto, path: Path, calibration: Sequence[np.ndarray]
) -> None:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Clips(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"features": batch}

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    normalised = any(node.op_type == "LayerNormalization" for node in changed.graph.node)
    head = float_head(changed.graph)
    pool_before_relu(changed.graph, head)
    convolve_pools(changed)
    quantize_static(
        changed,
        path,
        Clips(),
        op_types_to_quantize=list(PRODUCTS) if normalised else None,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[node.name for node in head],
        extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]},
    )


def quantise_before_pads(model: onnx.ModelProto) -> None:
    """Quantise what a Pad adds zeros to in place of its output, which changes no value: the zero
    points are exact.

    onnxruntime then pads bytes, and computes the layer before the Pad in int8.
    """
    graph = model.graph
    sources = {name: node for node in graph.node for name in node.output}
    readers = Counter(name for node in graph.node for name in node.input)
    for quantise in [node for node in graph.node if node.op_type == "QuantizeLinear"]:
        pad = sources.get(quantise.input[0])
        if pad is None or not adds_zeros(pad) or readers[pad.output[0]] > 1:
            continue
        source, (scale, zero) = pad.input[0], quantise.input[1:3]
        dequantise = sources.get(source)
        if dequantise is not None and [*dequantise.input[1:3]] == [scale, zero]:
            pad.input[:] = [dequantise.input[0], pad.input[1], zero, *pad.input[3:]]
            pad.output[:] = quantise.output
            graph.node.remove(quantise)
            if readers[source] == 1:
                graph.node.remove(dequantise)
        else:
            unpadded = f"{quantise.output[0]}_unpadded"
            first, second = copy.deepcopy(quantise), copy.deepcopy(pad)
            first.input[0], first.output[0] = source, unpadded
            second.input[:] = [unpadded, pad.input[1], zero, *pad.input[3:]]
            second.output[:] = quantise.output
            pad.CopyFrom(first)
            quantise.CopyFrom(second)


def adds_zeros(node: onnx.NodeProto) -> bool:
    """Whether it is a Pad with zeros, which have no input of their own."""
    modes = [a.s for a in node.attribute if a.name == "mode"]
    return node.op_type == "Pad" and modes in ([], [b"constant"]) and not any(node.input[2:3])


def with_unsigned_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store int8 weights and their zero points as uint8, by adding 128 to both.

    Values and size do not change. x86 processors without VNNI sum pairs of uint8 x int8 products in
    16 bits (vpmaddubsw), which saturates; uint8 x uint8 products are summed in 32 bits everywhere.
    """
    from onnx import TensorProto, numpy_helper

    for constant in model.graph.initializer:
        if constant.data_type == TensorProto.INT8:
            values = numpy_helper.to_array(constant).astype(np.int16) + UNSIGNED_ZERO
            constant.CopyFrom(numpy_helper.from_array(values.astype(np.uint8), constant.name))
    return model


def float_head(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes before the first product that reads WIDE channels."""
    sizes = {weight.name: weight.dims for weight in graph.initializer}
    head: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "Conv":
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            if groups * sizes[node.input[1]][1] >= WIDE:
                break
        elif node.op_type in PRODUCTS:
            break
        head.append(node)
    return head


def pool_before_relu(graph: onnx.GraphProto, head: Sequence[onnx.NodeProto]) -> None:
    """Swap Relu and MaxPool at the end of `head`, which changes no value:
    max(0, max x) = max max(0, x).

    onnxruntime moves a quantisation up past a MaxPool, which then takes twenty times as long.
    """
    if len(head) < 2 or [node.op_type for node in head[-2:]] != ["Relu", "MaxPool"]:
        return
    relu, pool = head[-2:]
    if sum(relu.output[0] in node.input for node in graph.node) > 1:
        return  # another node reads the output of Relu
    source, result = relu.input[0], pool.output[0]
    relu.op_type, pool.op_type = pool.op_type, relu.op_type
    relu.attribute.extend(pool.attribute)
    del pool.attribute[:]
    relu.input[0], pool.output[0] = source, result


def convolve_pools(model: onnx.ModelProto) -> None:
    """Average pooling as a convolution of each channel, whose weights are exact in int8.

    The int8 AveragePool of onnxruntime takes several times as long.
    """
    from onnx import helper, numpy_helper, shape_inference

    pools = [node for node in model.graph.node if node.op_type == "AveragePool"]
    inferred = shape_inference.infer_shapes(model).graph if pools else model.graph
    shapes = {value.name: value.type.tensor_type.shape.dim for value in inferred.value_info}
    for node in pools:
        options = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        counts_pads = options.get("count_include_pad", 0) or not any(options.get("pads", []))
        source = shapes.get(node.input[0], [])
        if not counts_pads or options.get("ceil_mode", 0) or not source:
            continue
        channels, kernel = source[1].dim_value, options["kernel_shape"]
        weights = np.full((channels, 1, *kernel), 1 / np.prod(kernel), np.float32)
        name = f"{node.output[0]}_weights"
        model.graph.initializer.append(numpy_helper.from_array(weights, name))
        kept = {key: options[key] for key in ("kernel_shape", "strides", "pads") if key in options}
        inputs = [node.input[0], name]
        node.CopyFrom(
            helper.make_node("Conv", inputs, node.output, node.name, group=channels, **kept)
        )


# Trained in int8 ----------------------------------------------------------------------------------


class OnnxLayer(nn.Module):
    """A QuantisedLayer in ONNX operators, which a runtime fuses to int8 products."""

    scale: Tensor
    zero: Tensor
    weight: Tensor
    weight_scale: Tensor
    weight_zero: Tensor
    bias: Tensor  # these two only where the layer has a bias
    bias_scale: Tensor
    bias_zero: Tensor

    def __init__(self, quantised: QuantisedLayer) -> None:
        super().__init__()
        self.layer = quantised.layer
        scale, zero = quantised.input_grid()
        self.register_buffer("scale", scale)
        self.register_buffer("zero", zero.to(torch.uint8))
        scales = quantised.weight_scale()
        weight = (self.layer.weight / scales).round() + UNSIGNED_ZERO  # see with_unsigned_weights
        self.register_buffer("weight", weight.to(torch.uint8))
        self.register_buffer("weight_scale", scales.flatten())
        zeros = torch.full((len(scales),), UNSIGNED_ZERO, dtype=torch.uint8)
        self.register_buffer("weight_zero", zeros)
        if self.layer.bias is not None:
            self.register_buffer("bias_scale", scale * self.weight_scale)
            self.register_buffer(
                "bias", (self.layer.bias / self.bias_scale).round().to(torch.int32)
            )
            self.register_buffer("bias_zero", torch.zeros_like(self.bias))

    def forward(self, x: Tensor) -> Tensor:
        x = symbolic("QuantizeLinear", (x, self.scale, self.zero), dtype=torch.uint8, shape=x.shape)
        parameters = {"weight": dequantised(self.weight, self.weight_scale, self.weight_zero)}
        if self.layer.bias is not None:
            parameters["bias"] = dequantised(self.bias, self.bias_scale, self.bias_zero)
        return functional_call(self.layer, parameters, (dequantised(x, self.scale, self.zero),))


def dequantised(values: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """With one scale, or one per index of the first axis."""
    return symbolic(
        "DequantizeLinear",
        (values, scale, zero),
        {"axis": 0} if scale.ndim else {},
        dtype=torch.float32,
        shape=values.shape,
    )


def for_onnx(quantised: nn.Module) -> nn.Module:
    """A copy of a quantised model that can be exported, with its trained scales."""
    found = copy.deepcopy(quantised)
    for name, module in quantised.named_modules():
        if isinstance(module, QuantisedLayer):
            found.set_submodule(name, OnnxLayer(module))
    return found


def trained_layers(quantised: nn.Module) -> nn.Module:
    """A float32 copy of a quantised model, with its trained weights before they are rounded."""
    found = copy.deepcopy(quantised)
    for name, module in quantised.named_modules():
        if isinstance(module, QuantisedLayer):
            found.set_submodule(name, copy.deepcopy(module.layer))
    return found
