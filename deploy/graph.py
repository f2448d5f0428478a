"""An ONNX graph, built node by node with function calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

Constant = np.ndarray | np.generic | list[int]  # a list is int64, as shapes and axes are
Value = str | Constant  # the name of a tensor in the graph, or a constant


class Graph:
    """graph("Add", x, np.float32(1)) adds a node and returns the name of its output."""

    FLOAT, DOUBLE = 1, 11  # of onnx.TensorProto

    def __init__(self, prefix: str) -> None:
        self.prefix, self.count = prefix, 0
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, operator: str, *inputs: Value, **attributes: Any) -> str:
        from onnx import helper

        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        result = self.new_name()
        self.nodes.append(helper.make_node(operator, names, [result], result, **attributes))
        return result

    def constant(self, value: Constant) -> str:
        from onnx import numpy_helper

        name = self.new_name()
        array = np.array(value, np.int64) if isinstance(value, list) else np.asarray(value)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def reshape(self, value: Value, shape: Sequence[int]) -> str:
        """0 keeps the size of that axis, -1 infers it."""
        return self("Reshape", value, list(shape))

    def new_name(self) -> str:
        self.count += 1
        return f"{self.prefix}_{self.count}"

    def finished(self, **outputs: str) -> onnx.GraphProto:
        """The graph so far, with outputs of these names."""
        from onnx import helper

        for name, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value], [name], name))
        return helper.make_graph(self.nodes, self.prefix, [], [], self.constants)
