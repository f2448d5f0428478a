"""The cost of a student on a device: bytes, memory of activations, and time on one core."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deploy.model_graph import optimised

if TYPE_CHECKING:
    import onnx

ROUND_SECONDS = 0.02  # a contender runs at least this long in each round


def weight_bytes(model: onnx.ModelProto) -> int:
    """All constants of the file, including those of the front end."""
    from onnx import helper

    return sum(
        math.prod(weight.dims) * helper.tensor_dtype_to_np_dtype(weight.data_type).itemsize
        for weight in model.graph.initializer
    )


def peak_activation_bytes(model: onnx.ModelProto, waveform: np.ndarray) -> int:
    """The largest total size of the tensors that are alive at the same time.

    The nodes run in the order of the graph that onnxruntime runs, with its operators fused. A
    node's inputs and outputs are alive together; a tensor is alive until the last node that reads
    it.
    """
    fused = optimised(model, "EXTENDED")
    sizes = tensor_bytes(fused, waveform)
    nodes = fused.graph.node
    outputs = {output.name for output in fused.graph.output}
    readers = Counter(name for node in nodes for name in set(node.input))
    alive, most = {"waveform": sizes["waveform"]}, 0
    for node in nodes:
        alive |= {name: sizes[name] for name in node.output if name}
        most = max(most, sum(alive.values()))
        for name in set(node.input):
            readers[name] -= 1
            if not readers[name] and name not in outputs:
                alive.pop(name, None)
    return most


def tensor_bytes(model: onnx.ModelProto, waveform: np.ndarray) -> dict[str, int]:
    """Bytes of the waveform and of every output of every node, measured by running it once."""
    import onnx
    import onnxruntime

    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output if name]
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        shown.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    results = session.run(None, {"waveform": waveform})
    found = {name: result.nbytes for name, result in zip(names, results, strict=True)}
    return {"waveform": waveform.nbytes, **found}


def milliseconds(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median over the rounds of each contender, which alternate: other load affects all."""
    repeats = {}
    for name, contender in contenders.items():
        contender()
        repeats[name] = max(1, round(ROUND_SECONDS / seconds(contender, 1)))
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            taken[name].append(1e3 * seconds(contenders[name], repeats[name]))
    return {name: statistics.median(values) for name, values in taken.items()}


def seconds(contender: Callable[[], object], repeats: int) -> float:
    began = time.perf_counter()
    for _ in range(repeats):
        contender()
    return (time.perf_counter() - began) / repeats


@contextmanager
def one_core() -> Iterator[None]:
    """Limit PyTorch to one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# The table ----------------------------------------------------------------------------------------


Column = tuple[str, Callable[[Any], str]]  # key of a row of the budget, and its format
COLUMNS: dict[str, Column] = {  # by heading
    "": ("precision", str),
    "file": ("file_bytes", lambda value: with_unit(value, "B")),
    "weights": ("weight_bytes", lambda value: with_unit(value, "B")),
    "activations": ("peak_activation_bytes", lambda value: with_unit(value, "B")),
    "ms per clip": ("milliseconds", "{:.2f}".format),
    "real-time factor": ("real_time_factor", "{:.2g}".format),
    "speed-up": ("times_eager", "{:.2f}".format),
    "logit error": ("largest_logit_difference", "{:.1g}".format),
    "score": ("score", "{:.4f}".format),
    "score drop": ("score_lost", lambda value: f"{round(value, 4) + 0.0:.4f}"),  # never -0.0000
}


def cost_table(about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """`rows`: one per precision, and PyTorch; a missing value is a dash."""
    columns = [heading for heading, (key, _) in COLUMNS.items() if any(key in row for row in rows)]
    cells = [
        [COLUMNS[h][1](row[COLUMNS[h][0]]) if COLUMNS[h][0] in row else "-" for h in columns]
        for row in rows
    ]
    headings = [about["metric"] if heading == "score" else heading for heading in columns]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in (headings, *cells)
    ]
    evaluated = f"; {about['clips']} clips of {about['split']}" if about["clips"] else ""
    title = (
        f"{about['name']}: {about['model']}, {with_unit(about['parameters'])} parameters, "
        f"{with_unit(about['macs'])} MACs; clips of {about['clip_seconds']:g} s on one core"
        f"{evaluated}"
    )
    return "\n".join(["", title, *lines])


def with_unit(number: float, unit: str = "") -> str:
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {prefix}{unit}"
    return f"{number:g} {unit}".rstrip()
