"""The weights of a LiteRT (TensorFlow Lite) file, dequantised, without TensorFlow.

A LiteRT file is a FlatBuffer: tables whose fields have fixed numbers. Those that are read here, by
the schema of LiteRT (schema.fbs, version 3):

    Model: 1 operator codes, 2 subgraphs, 4 buffers; SubGraph: 0 tensors, 3 operators
    OperatorCode: 0 code up to 127, 3 code; Operator: 0 index of its code, 1 inputs
    Tensor: 0 shape, 1 type, 2 index of its buffer, 4 quantisation; Buffer: 0 data
    QuantizationParameters: 2 scales, 3 zero points, 6 axis of the channels
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

IDENTIFIER = b"TFL3"  # bytes 4 to 8
CONVOLUTION, DEPTHWISE, LINEAR = 3, 4, 9  # BuiltinOperator
AXES = {CONVOLUTION: (0, 3, 1, 2), DEPTHWISE: (3, 0, 1, 2), LINEAR: (0, 1)}
TYPES = {0: "<f4", 2: "<i4", 9: "<i1"}  # TensorType


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a FlatBuffer: numbered fields, each of which may be absent."""

    data: bytes
    place: int  # of its first byte

    def number(self, field: int, kind: str, default: int = 0) -> int:
        """A scalar of `struct`'s format `kind`."""
        place = self.field(field)
        return self.unpack(kind, place) if place else default

    def vector(self, field: int, kind: str) -> np.ndarray:
        """A vector of numbers of the numpy type `kind`; empty where absent."""
        if not (place := self.field(field)):
            return np.zeros(0, kind)
        start = place + self.unpack("<I", place)
        return np.frombuffer(self.data, kind, self.unpack("<I", start), start + 4)

    def table(self, field: int) -> Table | None:
        place = self.field(field)
        return Table(self.data, place + self.unpack("<I", place)) if place else None

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        if not (place := self.field(field)):
            return []
        start = place + self.unpack("<I", place)
        places = range(start + 4, start + 4 + 4 * self.unpack("<I", start), 4)
        return [Table(self.data, place + self.unpack("<I", place)) for place in places]

    def field(self, number: int) -> int:
        """The place of a field; 0 where it is absent."""
        fields = self.place - self.unpack("<i", self.place)
        entry = 4 + 2 * number
        offset = self.unpack("<H", fields + entry) if entry < self.unpack("<H", fields) else 0
        return offset and self.place + offset

    def unpack(self, kind: str, place: int) -> int:
        return struct.unpack_from(kind, self.data, place)[0]


def read_tflite(data: bytes) -> dict[str, Tensor]:
    """The weights and biases of a network of convolutions and a linear classifier.

    The convolutions are `layer1`, `layer2` and so on in the order of the network, `classifier` is
    the last linear layer; those before it are of a front end inside of the file. The layouts are
    PyTorch's: (K, C, H, W) of a convolution, (C, 1, H, W) of a depthwise one, (K, C) of a linear
    layer. Integers become (value - zero point) x scale.

    Raises ValueError for another kind of file, and for a type of weights that is not read.
    """
    if data[4:8] != IDENTIFIER:
        raise ValueError("it is no LiteRT file: its identifier is not TFL3")
    model = Table(data, struct.unpack_from("<I", data)[0])
    weights, number = {}, 0
    for code, weight, bias in layers(model):
        number += code != LINEAR
        name = "classifier" if code == LINEAR else f"layer{number}"
        weight = weight.transpose(AXES[code])
        weights[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(weight))
        weights[f"{name}.bias"] = torch.from_numpy(bias)
    return weights


def layers(model: Table) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The code, the weights and the bias of each layer, in LiteRT's layouts."""
    codes = [max(code.number(0, "<b"), code.number(3, "<i")) for code in model.tables(1)]
    buffers, graph = model.tables(4), model.tables(2)[0]
    tensors = graph.tables(0)
    for operator in graph.tables(3):
        code = codes[operator.number(0, "<I")]
        if code in AXES:
            _, weight, bias = operator.vector(1, "<i4")
            yield code, dequantised(tensors[weight], buffers), dequantised(tensors[bias], buffers)


def dequantised(tensor: Table, buffers: list[Table]) -> np.ndarray:
    """The float32 values of a constant tensor."""
    kind = tensor.number(1, "<b")
    if kind not in TYPES:
        raise ValueError(f"its weights have the type {kind} of LiteRT, expected float32 or int8")
    values = buffers[tensor.number(2, "<I")].vector(0, "<u1").view(TYPES[kind])
    values = values.reshape(tensor.vector(0, "<i4"))
    quantisation = tensor.table(4)
    scales = quantisation.vector(2, "<f4") if quantisation else np.zeros(0, "<f4")
    if quantisation is None or not len(scales):
        return values.astype(np.float32)
    shape = [1] * values.ndim
    shape[quantisation.number(6, "<i")] = len(scales)
    zeros = quantisation.vector(3, "<i8")
    zeros = zeros.reshape(shape) if len(zeros) else np.zeros(shape, "<i8")
    return (values - zeros).astype(np.float32) * scales.reshape(shape)
