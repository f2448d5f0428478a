"""A LiteRT file of one convolution, one depthwise convolution and linear layers, made here."""

import flatbuffers
import numpy as np
import pytest
import torch

from config import UserError
from models.published import read_weights
from models.tflite_file import read_tflite

GENERATOR = np.random.default_rng(0)
CODES = {"conv": 3, "depthwise": 4, "add": 0, "linear": 9}


def int8(*shape):
    return GENERATOR.integers(-127, 128, shape, "i1")


CONSTANTS = {  # values, scales, axis of the channels, zero points
    "mel": (GENERATOR.standard_normal((4, 7)).astype("f4"), [], 0, []),
    "mel bias": (np.zeros(4, "f4"), [], 0, []),
    "conv": (int8(2, 3, 3, 1), [0.5, 0.25], 0, [0, 0]),
    "conv bias": (GENERATOR.integers(-(10**6), 10**6, 2, "i4"), [0.125, 2.0], 0, [0, 0]),
    "depthwise": (int8(1, 3, 2, 2), [2.0, 3.0], 3, [0, 0]),
    "depthwise bias": (GENERATOR.integers(-9, 9, 2, "i4"), [1.0, 1.0], 0, [0, 0]),
    "linear": (int8(5, 2), [0.1], 0, [3]),
    "linear bias": (np.arange(5, dtype="i4"), [0.5], 0, [0]),
}
OPERATORS = [
    ("linear", "mel"),
    ("conv", "conv"),
    ("add", None),
    ("depthwise", "depthwise"),
    ("linear", "linear"),
]


def table(builder, *fields):
    """Each field is absent (None), a place in the file (an int) or a scalar and its type."""
    builder.StartObject(len(fields))
    for number, value in enumerate(fields):
        if isinstance(value, tuple):
            getattr(builder, f"Prepend{value[1]}Slot")(number, value[0], 0)
        elif value is not None:
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
    return builder.EndObject()


def tables(builder, places):
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return builder.EndVector()


def litert(kinds=None):
    builder = flatbuffers.Builder()
    tensors, buffers = [table(builder)], [table(builder)]  # the input, and no data
    names = list(CONSTANTS)
    for values, scales, axis, zeros in CONSTANTS.values():
        kind = (kinds or {"f4": 0, "i4": 2, "i1": 9})[values.dtype.str[1:]]
        buffers.append(table(builder, builder.CreateNumpyVector(values.ravel().view("u1"))))
        quantisation = table(
            builder,
            *(None, None),
            builder.CreateNumpyVector(np.array(scales, "f4")),
            builder.CreateNumpyVector(np.array(zeros, "i8")),
            *(None, None, (axis, "Int32")),
        )
        shape = builder.CreateNumpyVector(np.array(values.shape, "i4"))
        place = len(buffers) - 1
        tensors.append(table(builder, shape, (kind, "Int8"), (place, "Uint32"), None, quantisation))
    operators = []
    for code, constant in OPERATORS:
        inputs = [0] if constant is None else [0, *(1 + names.index(constant) + n for n in (0, 1))]
        inputs = builder.CreateNumpyVector(np.array(inputs, "i4"))
        operators.append(table(builder, (list(CODES).index(code), "Uint32"), inputs))
    graph = table(builder, tables(builder, tensors), None, None, tables(builder, operators))
    # One code as old files have it, the others as new ones.
    codes = [
        table(builder, (code, "Int8"), *(() if n == 0 else (None, None, (code, "Int32"))))
        for n, code in enumerate(CODES.values())
    ]
    codes, graphs = tables(builder, codes), tables(builder, [graph])
    model = table(builder, (3, "Uint32"), codes, graphs, None, tables(builder, buffers))
    builder.Finish(model, file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_weights_are_dequantised_in_the_layouts_of_pytorch():
    found = read_tflite(litert())
    assert list(found) == [
        *("classifier.weight", "classifier.bias", "layer1.weight", "layer1.bias"),
        *("layer2.weight", "layer2.bias"),
    ]
    values = {name: value.astype("f4") for name, (value, *_) in CONSTANTS.items()}
    scale = np.array([0.5, 0.25], "f4")
    conv = values["conv"].transpose(0, 3, 1, 2) * scale[:, None, None, None]
    depthwise = values["depthwise"][0] * np.array([2, 3], "f4")
    expected = {
        "layer1.weight": conv,
        "layer1.bias": values["conv bias"] * np.array([0.125, 2], "f4"),
        "layer2.weight": depthwise.transpose(2, 0, 1)[:, None],
        "layer2.bias": values["depthwise bias"],
        "classifier.weight": (values["linear"] - 3) * np.float32(0.1),
        "classifier.bias": values["linear bias"] * np.float32(0.5),
    }
    for name, value in expected.items():
        assert torch.equal(found[name], torch.tensor(value)), name


def test_a_type_that_is_not_read_is_an_error():
    with pytest.raises(ValueError, match="type 1 of LiteRT"):
        read_tflite(litert({"f4": 0, "i4": 2, "i1": 1}))


@pytest.mark.parametrize("content", [b"", b"no weights", litert()[:200]])
def test_a_damaged_file_is_an_error(tmp_path, content):
    (tmp_path / "a.tflite").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tflite: cannot be read as weights"):
        read_weights(tmp_path / "a.tflite")
