import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from deploy.measured_cost import (
    cost_table,
    milliseconds,
    peak_activation_bytes,
    weight_bytes,
    with_unit,
)

FLOAT = TensorProto.FLOAT


def two_branches():
    """waveform (1, 1, 100) -> a (1, 8, 100) and b (1, 2, 100), the inputs of the rest."""
    nodes = [
        helper.make_node("Conv", ["waveform", "eight"], ["a"], "a"),
        helper.make_node("Conv", ["waveform", "two"], ["b"], "b"),
        helper.make_node("ReduceMax", ["a"], ["c"], "c"),
        helper.make_node("ReduceMax", ["b"], ["d"], "d"),
        helper.make_node("Sub", ["c", "d"], ["logits"], "e"),
    ]
    weights = {"eight": np.ones((8, 1, 1), np.float32), "two": np.ones((2, 1, 1), np.float32)}
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("waveform", FLOAT, ("b", 1, "s"))],
        [helper.make_tensor_value_info("logits", FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_bytes_equal_a_hand_computation():
    model = two_branches()
    assert weight_bytes(model) == 4 * (8 + 2)
    # While b is computed, the waveform, a and b are alive: 100 + 800 + 200 floats.
    assert peak_activation_bytes(model, np.ones((1, 1, 100), np.float32)) == 4 * 1100
    assert peak_activation_bytes(model, np.ones((3, 1, 100), np.float32)) == 4 * 3300


def test_contenders_alternate():
    order = []
    contenders = {name: lambda name=name: order.append(name) for name in "ab"}
    found = milliseconds(contenders, 2)
    assert found.keys() == {"a", "b"}
    runs = "".join(
        name for name, before in zip(order, ["", *order], strict=False) if name != before
    )
    assert runs == "ababa"[: len(runs)]
    assert runs.startswith("aba"), "a warms up, b warms up, a, b, and backwards"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (366_892, "367 kB"), (13_249_855, "13.2 MB")],
)
def test_bytes_are_formatted_with_a_unit(number, text):
    assert with_unit(number, "B") == text


def test_the_budget_is_a_table():
    about = {"name": "config bce seed 0", "model": "dcase_small", "parameters": 81_234}
    about |= {"macs": 7_480_000, "clip_seconds": 4.0, "metric": "accuracy", "clips": 300}
    eager = {"precision": "PyTorch", "milliseconds": 4.0, "score": 0.75}
    small = {"precision": "int8", "file_bytes": 123_456, "milliseconds": 1.0, "score": 0.7}
    small |= {"score_lost": 0.05, "times_eager": 4.0}
    lines = cost_table(about | {"split": "test"}, [eager, small]).splitlines()
    assert lines[1] == (
        "config bce seed 0: dcase_small, 81.2 k parameters, 7.48 M MACs; "
        "clips of 4 s on one core; 300 clips of test"
    )
    cells = [line.split("  ") for line in lines[2:]]
    found = [[cell.strip() for cell in row if cell.strip()] for row in cells]
    assert found == [
        ["file", "ms per clip", "speed-up", "accuracy", "score drop"],
        ["PyTorch", "-", "4.00", "-", "0.7500", "-"],
        ["int8", "123 kB", "1.00", "4.00", "0.7000", "0.0500"],
    ]
    quiet = cost_table(about | {"split": "test", "clips": 0}, [{"precision": "int8"}])
    assert "accuracy" not in quiet
    assert "clips of test" not in quiet
