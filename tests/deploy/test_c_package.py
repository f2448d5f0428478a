"""The C package of a student, compiled and run on this machine: equal to the float32 ONNX file."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from config import UserError
from data.features.front_end import FrontEnd
from deploy import onnx_file
from deploy.c_package import SOURCES, c_package, export_c, float_thresholds, write_files
from deploy.export import Trained
from deploy.full_model import FullModel
from deploy.model_graph import model_graph
from models.quantised import QuantisedLayer, quantise
from tests.deploy.test_c_layers import filters, model
from tests.deploy.trained import RATE, built, described, waveforms

pytestmark = pytest.mark.skipif(
    not (shutil.which("cc") and shutil.which("make")), reason="requires make and a C compiler"
)
STRICT = "-std=c99 -Wall -Wextra -Werror -pedantic"


def compiled(package, folder: Path) -> Path:
    """The program, not optimised: compiling takes most of the time. Warnings are errors."""
    write_files(package.files, folder)
    return made(folder)


def made(folder: Path) -> Path:
    assert STRICT in (folder / "Makefile").read_text()
    done = subprocess.run(
        ["make", "-s", "CC=cc", "CFLAGS=-O0"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "soundstill"


def recording(path: Path, seconds: float = 1.0, rate: int = RATE, **options) -> np.ndarray:
    """A file of 16 bits -> the samples as exported models take them, (1, S)."""
    samples = np.rint(waveforms(1, seconds)[0] * 32767).clip(-32768, 32767).astype(np.int16)
    soundfile.write(path, samples.T, rate, **{"subtype": "PCM_16"} | options)
    return (samples / 32768).astype(np.float32)


def rows(program: Path, path: Path) -> list[list[str]]:
    done = subprocess.run([program, path], capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def probabilities(program: Path, path: Path) -> np.ndarray:
    return np.array([float(row[2]) for row in rows(program, path)])


def onnx_probabilities(graph, description, waveform: np.ndarray) -> np.ndarray:
    session = onnx_file.session(onnx_file.assembled(graph, description, False))
    return session.run(["probabilities"], {"waveform": waveform[None]})[0][0]


STUDENTS = [
    ("cp_mobile", "single_label", {"base_channels": 8}),
    ("dcase_small", "multi_label", {"width_mult": 0.25}),
    (
        "yamnet",
        "multi_label",
        {"depth": 4, "width_mult": 0.25, "pooling": "statistics", "classifier_norm": True},
    ),
]


@pytest.fixture(scope="module", params=STUDENTS, ids=lambda student: student[0])
def student(request):
    """A description and its ONNX graph, features -> logits, embedding."""
    name, task, options = request.param
    description = described(name, task, **options)
    return description, model_graph(built(description), description.input_shape).model


@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-4), ("int8", 0.02)])
def test_probabilities_equal_those_of_the_onnx_file(student, precision, bound, tmp_path):
    description, graph = student
    program = compiled(c_package(graph, description, precision), tmp_path)
    waveform = recording(tmp_path / "clip.wav")
    expected = onnx_probabilities(graph, description, waveform)
    found = rows(program, tmp_path / "clip.wav")
    assert [row[:2] for row in found] == [["0.00", name] for name in description.classes]
    values = np.array([float(row[2]) for row in found])
    np.testing.assert_allclose(values, expected, rtol=0, atol=bound)
    if precision == "float32":
        assert ((values >= 0.5) == (expected >= 0.5)).all()
        assert values.argmax() == expected.argmax()


def test_int8_has_the_weights_of_the_student_that_was_trained_in_int8(tmp_path):
    description = described(width_mult=0.25)
    model, quantised = built(description), built(description)
    clips = torch.randn(8, *description.input_shape, generator=torch.Generator().manual_seed(0))
    quantise(quantised, [clips])
    classifier = [m.layer for m in quantised.modules() if isinstance(m, QuantisedLayer)][-1]
    with torch.no_grad():
        classifier.bias.add_(torch.tensor([-2.0, 2.0, 4.0]))  # as if trained
    about = dict.fromkeys(("dataset", "licence", "commit", "table", "split", "metric"), "made here")
    trained = Trained(
        name="made here",
        model=model,
        described=description,
        calibration=(),
        quantised=quantised,
        **about,
    )
    export_c(trained, "int8", tmp_path)
    waveform = recording(tmp_path / "clip.wav")
    found = probabilities(made(tmp_path / "c_int8"), tmp_path / "clip.wav")
    outputs = [
        FullModel(m, description)(torch.from_numpy(waveform)[None]) for m in (quantised, model)
    ]
    trained_in_int8, post_training = (o.probabilities[0].detach().numpy() for o in outputs)
    np.testing.assert_allclose(found, trained_in_int8, atol=0.02)
    assert np.abs(trained_in_int8 - post_training).max() > 0.1


def every_operation():
    """A graph with all operations of the C runtime, their attributes not the usual ones."""
    nodes = [
        (
            "Conv",
            ["features", "w1", "b1"],
            ["a"],
            {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [2, 1, 0, 1], "dilations": [1, 2]},
        ),
        ("Clip", ["a", "low", "high"], ["b"], {}),
        ("Conv", ["b", "w2"], ["c"], {"kernel_shape": [3, 3], "group": 2, "pads": [1, 1, 1, 1]}),
        ("BatchNormalization", ["c", "g", "s", "m", "v"], ["d"], {"epsilon": 1e-3}),
        ("HardSigmoid", ["d"], ["e"], {"alpha": 0.25, "beta": 0.4}),
        ("Mul", ["e", "c"], ["f"], {}),
        (
            "AveragePool",
            ["f"],
            ["h"],
            {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        ),
        (
            "MaxPool",
            ["f"],
            ["i"],
            {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        ),
        ("Sub", ["h", "i"], ["j"], {}),
        ("Concat", ["j", "h"], ["k"], {"axis": 3}),
        ("Pow", ["k", "two"], ["l"], {}),
        ("Add", ["l", "tiny"], ["n"], {}),
        ("Sqrt", ["n"], ["o"], {}),
        ("GlobalAveragePool", ["o"], ["p"], {}),
        ("Div", ["o", "p"], ["q"], {}),
        ("ReduceMax", ["q", "time"], ["r"], {"keepdims": 0}),
        ("Flatten", ["r"], ["t"], {}),
        ("MatMul", ["t", "w3"], ["u"], {}),
        ("Sigmoid", ["u"], ["x"], {}),
        ("Gemm", ["x", "w4", "b4"], ["logits"], {"transB": 1}),
    ]
    constants = {
        "w1": filters(4, 1, 3, 2),
        "b1": filters(4),
        "low": np.float32(-1),
        "high": np.float32(2),
        "w2": filters(6, 2, 3, 3),
        **{name: filters(6) for name in ("g", "s", "m")},
        "v": np.abs(filters(6)),
        "two": np.float32(2),
        "tiny": np.float32([0.01]),
        "time": np.array([2]),
        "w3": filters(6 * 34, 5) / 10,
        "w4": filters(3, 5),
        "b4": filters(3),
    }
    return model(nodes, (1, 98, 33), constants, ("batch", 3))


def test_every_operation_equals_that_of_onnxruntime(tmp_path):
    description, graph = described(), every_operation()
    program = compiled(c_package(graph, description, "float32"), tmp_path)
    waveform = recording(tmp_path / "clip.wav")
    expected = onnx_probabilities(graph, description, waveform)
    assert len(set(expected.round(3))) > 1
    np.testing.assert_allclose(probabilities(program, tmp_path / "clip.wav"), expected, atol=1e-5)


FRONT_ENDS = {
    "centred": {"framing": "centred", "log": "decibel", "mel_scale": "slaney"},
    "passt": {"framing": "passt", "pre_emphasis": 0.97, "spectrum": "power", "fft_size": 256},
    "kaldi": {"framing": "kaldi", "pre_emphasis": 0.97, "window": "povey", "log_offset": 0.0},
    "not a power of two": {"fft_size": 225, "log": "none", "pre_emphasis": 0.5},
}


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_front_ends_equal_those_of_the_onnx_file(name, tmp_path):
    """The classes of the student are the values of its features."""
    samples, description = 800, described()
    mel = replace(description.front_end, num_bands=5, **FRONT_ENDS[name])
    shape = FrontEnd(mel).shape(samples)
    description = replace(
        description,
        front_end=mel,
        input_shape=shape,
        clip_seconds=samples / RATE,
        classes=tuple(f"value {n}" for n in range(shape[1] * shape[2])),
        mean=(-2.0, -1.0, 0.0, 1.0, 2.0),
        std=(4.0, 3.0, 5.0, 6.0, 3.5),
    )
    nodes = [("Flatten", ["features"], ["a"], {}), ("Clip", ["a", "low"], ["logits"], {})]
    graph = model(nodes, shape, {"low": np.float32(-9)}, ("batch", len(description.classes)))
    program = compiled(c_package(graph, description, "float32"), tmp_path)
    waveform = recording(tmp_path / "clip.wav", samples / RATE)
    expected = onnx_probabilities(graph, description, waveform)
    assert expected.std() > 0.01
    np.testing.assert_allclose(probabilities(program, tmp_path / "clip.wav"), expected, atol=1e-5)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A program whose three probabilities are means of the features."""
    description = described()
    nodes = [("ReduceMean", ["features", "axes"], ["a"], {"keepdims": 0})]
    nodes += [("Gemm", ["a", "w"], ["logits"], {"transB": 1})]
    constants = {"axes": np.array([2, 3]), "w": filters(3, 1)}
    graph = model(nodes, description.input_shape, constants, ("batch", 3))
    folder = tmp_path_factory.mktemp("tiny")
    package = c_package(graph, description, "float32")
    return graph, description, compiled(package, folder), package


def test_a_long_recording_is_cut_into_clips_and_the_last_one_padded(tiny, tmp_path):
    graph, description, program, _ = tiny
    waveform = recording(tmp_path / "long.wav", 2.5)
    found = rows(program, tmp_path / "long.wav")
    assert [row[0] for row in found] == ["0.00"] * 3 + ["1.00"] * 3 + ["2.00"] * 3
    padded = np.pad(waveform, ((0, 0), (0, RATE // 2)))
    for number in range(3):
        expected = onnx_probabilities(
            graph, description, padded[:, number * RATE : (number + 1) * RATE]
        )
        values = [float(row[2]) for row in found[3 * number : 3 * number + 3]]
        np.testing.assert_allclose(values, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("task", "thresholds", "expected"),
    [
        ("multi_label", None, ["-", "tag", "tag"]),
        ("multi_label", (0.1, 0.9, 1.0), ["tag", "tag", "-"]),
        ("single_label", None, ["-", "-", "tag"]),
    ],
)
def test_tags_are_those_of_the_thresholds(task, thresholds, expected, tmp_path):
    """The logits are -1, 3 and 3.1, whatever the recording."""
    description = described(task=task)
    nodes = [("ReduceMean", ["features", "axes"], ["a"], {"keepdims": 0})]
    nodes += [("Gemm", ["a", "w", "b"], ["logits"], {"transB": 1})]
    constants = {"axes": np.array([2, 3]), "w": np.zeros((3, 1), np.float32)}
    constants["b"] = np.float32([-1, 3, 3.1])
    graph = model(nodes, description.input_shape, constants, ("batch", 3))
    program = compiled(c_package(graph, description, "float32", thresholds), tmp_path)
    recording(tmp_path / "clip.wav")
    assert [row[3] for row in rows(program, tmp_path / "clip.wav")] == expected


def test_thresholds_in_float32_give_the_same_tags():
    exact = np.random.default_rng(0).uniform(size=1000)
    stored = float_thresholds(exact)
    assert stored.dtype == np.float32
    assert (stored >= exact).all()
    assert (np.nextafter(stored, np.float32(0)) < exact).all()


WRONG = [
    ({"rate": 16_000}, "has another sample rate"),
    ({"subtype": "PCM_24"}, "expected 16-bit samples"),
    ({"format": "FLAC"}, "not a WAV file"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_another_recording_is_refused(tiny, options, message, tmp_path):
    recording(tmp_path / "clip.wav", **options)
    done = subprocess.run([tiny[2], tmp_path / "clip.wav"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith(f"clip.wav: {message}; expected 16-bit, mono, {RATE} Hz\n")


def test_the_bytes_are_those_of_the_compiled_program(tiny):
    """`size` counts the code too."""
    *_, program, package = tiny
    listed = subprocess.run(["size", "model.o"], cwd=program.parent, capture_output=True, text=True)
    data = sum(map(int, listed.stdout.splitlines()[1].split()[:2]))
    assert data >= package.weight_bytes + package.layer_bytes
    listed = subprocess.run(
        ["size", "soundstill.o"], cwd=program.parent, capture_output=True, text=True
    )
    bss = int(listed.stdout.splitlines()[1].split()[2])
    assert package.arena_bytes <= bss <= package.arena_bytes + 64


def test_a_front_end_that_c_does_not_have_is_refused(tiny):
    graph, description, *_ = tiny
    for changes, message in (
        ({"front_end": "waveform"}, r"supports only \[mel\] FRONT_END = mel, found waveform"),
        ({"channels": 2}, r"supports only \[mel\] CHANNELS = 1, found 2"),
        ({"log": "decibel", "top_db": 80.0}, r"supports only \[mel\] TOP_DB = 0, found 80"),
    ):
        other = replace(description, front_end=replace(description.front_end, **changes))
        with pytest.raises(UserError, match=message):
            c_package(graph, other, "float32")


def test_flags_of_the_user_leave_the_others_as_they_are(tiny):
    """A compiler for a device gets its flags as CFLAGS of make."""
    done = subprocess.run(
        ["make", "-B", "-n", "CFLAGS=-Os -mthumb", "libsoundstill.a"],
        cwd=tiny[2].parent,
        capture_output=True,
        text=True,
    )
    compiled = [line for line in done.stdout.splitlines() if " -c " in line]
    assert len(compiled) > 10
    flags = f"-Os -mthumb {STRICT} -ffunction-sections -fdata-sections"
    assert all(flags in line for line in compiled)


def test_the_sources_are_found_beside_the_module_and_tracked(tiny):
    assert (SOURCES / "main.c").is_file()
    assert "model.c" in tiny[3].files
    for path in SOURCES.glob("*.c"):
        assert path.read_text().startswith("/* "), path
        assert f"{path.stem}.o" in (SOURCES / "Makefile").read_text(), path
